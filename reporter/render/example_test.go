package render_test

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/render"
)

// A template of your own is Go's html/template over ReportView: every value is escaped, and a figure without data reads as
// such, not as 0.
func ExampleRenderer_Report() {
	dir, err := os.MkdirTemp("", "template")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "short.tmpl")
	text := `<b>{{.Headline}}</b>
alerts: {{.Number "alerts"}}
tickets: {{.Number "tickets"}}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	if err := render.CheckTemplate(file); err != nil { // what check-config does
		fmt.Println(err)
		return
	}
	r, err := render.New(render.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	due := time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)
	msg, err := r.Report(reporter.Report{
		Name: "daily", Title: "ACME <prod>", Locale: "en", Zone: time.UTC, Template: file, Due: due, Built: due,
		Figures: map[string]reporter.Figure{
			"alerts":  {Name: "alerts", Samples: []reporter.Sample{{Value: 128}}},
			"tickets": {Name: "tickets", Reason: "connection refused"},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(msg.HTML)
	// Output:
	// <b>ACME &lt;prod&gt; inspection report</b>
	// alerts: 128
	// tickets: no data
}

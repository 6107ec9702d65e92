package render_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/awoooi/awoooi-reporter/reporter/render"
)

// docs/templates.md has every field and function that a template can use.
func TestManualOfTemplatesIsWhole(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/templates.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\n## Reports\n")
	reports, postmortems, found := strings.Cut(rest, "\n## Postmortems\n")
	if !found {
		t.Fatal("the manual has no part on postmortems")
	}
	for _, part := range []struct {
		text string
		of   []reflect.Type
	}{
		{reports, []reflect.Type{reflect.TypeFor[render.ReportView](), reflect.TypeFor[render.Health](), reflect.TypeFor[render.Share]()}},
		{postmortems, []reflect.Type{
			reflect.TypeFor[render.PostmortemView](), reflect.TypeFor[render.Event](), reflect.TypeFor[render.Link](), reflect.TypeFor[render.SimilarView](),
		}},
	} {
		for _, of := range part.of {
			for n := range of.NumField() {
				if f := of.Field(n); f.IsExported() && !strings.Contains(part.text, "."+f.Name+"`") {
					t.Errorf("the manual does not name .%s of %s", f.Name, of.Name())
				}
			}
			for n := range of.NumMethod() {
				m := of.Method(n)
				if !strings.Contains(part.text, "`."+m.Name+" \"") && !strings.Contains(part.text, "`."+m.Name+"`") {
					t.Errorf("the manual does not name the function .%s of %s", m.Name, of.Name())
				}
			}
		}
	}
}

package render

import (
	"html/template"
	"strings"
	"testing"
	"time"
)

func TestTemplateThatTakesTooLongIsLeftBehind(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	defer close(stop)
	wait := func() string { <-stop; return "" }
	own := template.Must(template.New("own.tmpl").Funcs(template.FuncMap{"wait": wait}).Parse("{{wait}}"))
	_, err := executeWithin(time.Millisecond, own, nil)
	if err == nil || !strings.Contains(err.Error(), "own.tmpl: is not done after 1ms") {
		t.Errorf("error is %v", err)
	}
}

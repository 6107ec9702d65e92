package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/config"
)

var update = flag.Bool("update", false, "write what the code says into the committed files")

const schemaFile = "../../config.schema.json"

func TestCommittedSchemaIsWhatTheCodeMakes(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Schema(example)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("run with -update if this is intended:\n%s", diff)
	}
}

// The schema accepts both examples, and refuses what an editor should mark.
func TestSchemaAgreesWithTheProgram(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(config.SchemaID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(config.SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	check := func(text string) error {
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		v, err = jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return s.Validate(v)
	}
	for _, file := range []string{"../../config.example.yaml", "testdata/example-before.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(string(text)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, wrong := range []string{
		"timezon: UTC", "recievr: {}", "delivery: {give_up_after: 24}", "delivery: {give_up_after: '24'}", "log: {level: warning}",
		"incidents: {by: week}", "incidents: {firing_notice: yep}", "incidents: {digest_from: five}", "receivers: {a: {}}",
		"receivers: [{name: a, telegram: {token: x}}]", "sources: [{name: a, kind: mysql}]", "queries: [{name: a, metrics: [{window: 24}]}]",
		"prometheus: {http_config: {basic_atuh: {}}}", "prometheus: {http_config: {tls_config: {insecure_skip_verify: text}}}", "web: text",
	} {
		if check(wrong) == nil {
			t.Errorf("%s: the schema takes it", wrong)
		}
	}
	for _, right := range []string{
		"receivers: [{name: a, telegram: {chat_id: -100123}}, {name: b, terminal: true}]", "reports: [{name: a, figures: [{name: b, compare: 24h}]}]",
		"incidents: {receivers: a, expire_after: 0}",
		"prometheus: {http_config: {http_headers: {X-Scope-OrgID: {values: [a]}}, proxy_url: http://p, tls_config: {min_version: TLS12}}}",
	} {
		if err := check(right); err != nil {
			t.Errorf("%s: %v", right, err)
		}
	}
	if n := strings.Count(string(text), `"description"`); n < 50 {
		t.Errorf("only %d descriptions", n)
	}
}

package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

// SchemaID is the URL of the schema of the newest version.
const SchemaID = "https://raw.githubusercontent.com/awoooi/awoooi-reporter/main/config.schema.json"

// schema is the part of JSON Schema (https://json-schema.org/draft/2020-12/schema) that a configuration needs.
type schema struct {
	Schema      string             `json:"$schema,omitempty"`
	ID          string             `json:"$id,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        any                `json:"type,omitempty"` // a name, or a list of names
	Enum        []string           `json:"enum,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	Default     any                `json:"default,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	Additional  any                `json:"additionalProperties,omitempty"` // false, or a schema
	AnyOf       []*schema          `json:"anyOf,omitempty"`
	Const       any                `json:"const,omitempty"`
}

// durationPattern matches what duration parses: Go's durations, and Prometheus's units d, w and y.
const durationPattern = `^(0|-?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d|w|y))+)$`

// enums has the settings whose value is one of a few words.
var enums = map[string][]string{
	"log.level": logLevels, "log.format": logFormats, "incidents.by": incidentsBy, "sources.kind": sourceKinds,
	"queries.on_duplicate": {kpi.OnError, kpi.OnFold}, "queries.on_overflow": {kpi.OnError, kpi.OnFold},
}

// Schema returns the JSON schema of the configuration file, for editors. example is config.example.yaml, whose comments become
// descriptions.
func Schema(example []byte) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(example, &doc); err != nil {
		return nil, fmt.Errorf("example: %w", err)
	}
	comments := map[string]string{}
	if len(doc.Content) > 0 {
		collectComments(doc.Content[0], "", comments)
	}
	s := schemaOf(reflect.TypeFor[Config](), "", comments)
	s.Schema, s.ID, s.Title = "https://json-schema.org/draft/2020-12/schema", SchemaID, "awoooi-reporter configuration"
	b, err := json.MarshalIndent(s, "", "  ")
	return append(b, '\n'), err
}

// collectComments collects the comment of each key, from above it and from behind its value. The keys of list entries have no
// index.
func collectComments(n *yaml.Node, path string, into map[string]string) {
	switch n.Kind {
	case yaml.SequenceNode:
		for _, c := range n.Content {
			collectComments(c, path, into)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			sub := join(path, key.Value)
			var parts []string
			for _, c := range []string{key.HeadComment, key.LineComment, value.LineComment} {
				// Not part of a description: examples that are commented out, text above a blank line, and the word "default", because
				// the schema has the default itself.
				c = c[strings.LastIndex(c, "\n\n")+1:]
				var lines []string
				for line := range strings.Lines(c) {
					line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "#"))
					if line != "" && line != "default" && !commentedOut.MatchString(line) {
						lines = append(lines, line)
					}
				}
				if len(lines) > 0 {
					parts = append(parts, strings.Join(lines, " "))
				}
			}
			if text := strings.Join(parts, " "); text != "" && into[sub] == "" {
				into[sub] = text
			}
			collectComments(value, sub, into)
		}
	}
}

var commentedOut = regexp.MustCompile(`^(- )?[a-z_]+: ?`)

func schemaOf(t reflect.Type, path string, comments map[string]string) *schema {
	s := kindSchema(t, path, comments)
	s.Description = comments[path]
	if d, ok := defaults()[viperKey(path)]; ok && !reflect.ValueOf(d).IsZero() {
		s.Default = d
	}
	if words, ok := enums[path]; ok {
		s.Type, s.Enum = nil, words
	}
	return s
}

func kindSchema(t reflect.Type, path string, comments map[string]string) *schema {
	switch {
	case t == durationType:
		return &schema{AnyOf: []*schema{{Type: "string", Pattern: durationPattern}, {Const: 0}}}
	case t == secretType:
		return &schema{Type: []string{"string", "number"}}
	case t == httpClientType:
		return kindSchema(reflect.TypeFor[promconfig.HTTPClientConfig](), path, comments)
	case t == reflect.TypeFor[promconfig.Headers]():
		return &schema{Type: "object", Additional: kindSchema(reflect.TypeFor[promconfig.Header](), path, comments)}
	case isLeaf(t) && !hasFields(t):
		return &schema{} // decodes itself from anything
	}
	if _, own := reflect.PointerTo(t).MethodByName("UnmarshalYAML"); own && t.Kind() != reflect.Struct {
		return &schema{} // as prometheus/common's TLSVersion
	}
	switch t.Kind() {
	case reflect.Pointer:
		s := kindSchema(t.Elem(), path, comments)
		if t.Elem().Kind() == reflect.Struct && t.Elem().NumField() == 0 {
			return &schema{AnyOf: []*schema{s, {Const: true}}}
		}
		return s
	case reflect.Struct:
		fields := map[string]reflect.StructField{}
		structFields(t, fields)
		if len(fields) == 0 && t.NumField() > 0 { // as prometheus/common's URL
			return &schema{Type: "string"}
		}
		s := &schema{Type: "object", Properties: map[string]*schema{}, Additional: false}
		for name, f := range fields {
			s.Properties[name] = schemaOf(f.Type, join(path, name), comments)
		}
		return s
	case reflect.Slice:
		list := &schema{Type: "array", Items: kindSchema(t.Elem(), path, comments)}
		if words, ok := enums[path]; ok {
			list.Items = &schema{Enum: words}
		}
		if t.Elem().Kind() == reflect.String {
			return &schema{AnyOf: []*schema{list, {Type: "string"}}} // "a, b"
		}
		if t.Elem() == reflect.TypeFor[time.Duration]() {
			return &schema{AnyOf: []*schema{list, list.Items}} // "compare: 24h"
		}
		return list
	case reflect.Map:
		return &schema{Type: "object", Additional: kindSchema(t.Elem(), path, comments)}
	case reflect.Bool:
		return &schema{Type: "boolean"}
	case reflect.Float64, reflect.Float32:
		return &schema{Type: "number"}
	case reflect.String:
		return &schema{Type: []string{"string", "number", "boolean"}}
	case reflect.Interface:
		return &schema{}
	}
	if slices.Contains([]reflect.Kind{reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint64, reflect.Uint16}, t.Kind()) {
		return &schema{Type: "integer"}
	}
	return &schema{}
}

// hasFields tells whether a type is a struct with fields of the file. prometheus/common has such types that decode themselves.
func hasFields(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	fields := map[string]reflect.StructField{}
	structFields(t, fields)
	return len(fields) > 0
}

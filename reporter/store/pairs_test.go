package store

import (
	"encoding/json"
	"maps"
	"testing"
	"testing/quick"
)

// Labels and annotations are read back as they were, in the form of encoding/json.
func TestPairsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	same := func(m map[string]string) bool {
		std, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		text := encodePairs(m)
		if text != string(std) {
			t.Errorf("%q is written as %s, want %s", m, text, std)
		}
		got, err := decodePairs(text)
		var want map[string]string
		if stdErr := json.Unmarshal(std, &want); err != nil || stdErr != nil || !maps.Equal(got, want) || (got == nil) != (m == nil) {
			t.Errorf("%q: %q (%v), want %q (%v)", text, got, err, want, stdErr)
		}
		return !t.Failed()
	}
	for _, m := range []map[string]string{
		nil, {}, {"": ""}, {"a": "b"}, {"a": "b", "c": "d"}, {`a":"b`: `c","d`}, {`\`: `"`}, {"a": `","b":"`}, {"名": "事故 <b>&"}, {"a": "\xff"}, {"a": "\n\x00\b\f\x7f\u2028 "}, {"a": "\ufffd…"},
		{"a": "}", "b": "{"}, {"a:": ":b"}, {",": ","},
	} {
		same(m)
	}
	if err := quick.Check(same, nil); err != nil {
		t.Error(err)
	}
	for _, text := range []string{
		"", "{", "}", "{}}", `{"a"}`, `{"a":"b"`, `{"a":"b",}`, `{"a":"b"}x`, `{"a":1}`, `{"a":"b""c":"d"}`, `{"a" : "b"}`, `{"a":"b", "c":"d"}`, "null",
		`{"a"x":"b"}`, `["a":"b"}`, `{"a":"b","a":"c"}`,
	} {
		got, err := decodePairs(text)
		var want map[string]string
		if stdErr := json.Unmarshal([]byte(text), &want); (err == nil) != (stdErr == nil) || err == nil && !maps.Equal(got, want) {
			t.Errorf("%q: %q (%v), want %q (%v)", text, got, err, want, stdErr)
		}
	}
}

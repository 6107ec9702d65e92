package config

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

// decoder turns the file's tree into values of the types of Config, notes the position of each key, and reports everything that
// does not fit. It leaves that out, so that the rest can still be checked.
type decoder struct {
	problems *Problems
	layer    map[string]any // the settings in the file, by their keys
	keys     []string       // of all settings
}

var (
	durationType   = reflect.TypeFor[time.Duration]()
	secretType     = reflect.TypeFor[secret.Text]()
	httpClientType = reflect.TypeFor[HTTPClient]()
)

// section decodes a mapping whose keys are settings or sections, into the layer.
func (d *decoder) section(n *yaml.Node, t reflect.Type, path string) {
	d.fields(n, t, path, func(f reflect.StructField, value *yaml.Node, path string) {
		if f.Type.Kind() == reflect.Struct && !isLeaf(f.Type) {
			if !isNull(value) {
				d.section(value, f.Type, path)
			}
			return
		}
		v := reflect.New(f.Type).Elem()
		if !isNull(value) && d.value(value, v, path) {
			d.layer[path] = v.Interface()
		}
	})
}

// fields calls set for each known key of a mapping, and reports unknown and repeated ones.
func (d *decoder) fields(n *yaml.Node, t reflect.Type, path string, set func(f reflect.StructField, value *yaml.Node, path string)) {
	if n.Kind != yaml.MappingNode {
		remedy := "write key: value lines below it"
		if path == "" && n.Kind == yaml.ScalarNode {
			remedy = "write key: value, with a space behind the colon"
		}
		d.wrong(n, path, "is "+kindOf(n)+", want a mapping", remedy)
		return
	}
	known := map[string]reflect.StructField{}
	structFields(t, known)
	present := map[string]position{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := position{key.Line, key.Column}
		if key.Kind != yaml.ScalarNode {
			d.problems.unreadable(path, at, "a key must be text, is "+kindOf(key), "")
			continue
		}
		sub := join(path, key.Value)
		if first, ok := present[key.Value]; ok {
			d.problems.unreadable(sub, at, fmt.Sprintf("is set twice, first in line %d", first.line), "remove one of them")
			continue
		}
		present[key.Value] = at
		f, ok := known[key.Value]
		if !ok {
			continue // reported below, once all keys of the mapping are known
		}
		d.note(sub, at, value)
		set(f, value, sub)
	}
	names := keysOf(known)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i]; key.Kind == yaml.ScalarNode {
			if _, ok := known[key.Value]; !ok {
				d.unknown(key, path, names, present)
			}
		}
	}
}

// unknown reports a key that does not exist. The key that was probably intended counts as broken, so that it is not reported as
// missing too.
func (d *decoder) unknown(key *yaml.Node, path string, names []string, present map[string]position) {
	shown := safetext.Line(key.Value, 60)
	remedy := ""
	if len(d.problems.list) > maxShown { // it is not shown, so that it needs no remedy
		d.problems.unreadable(join(path, shown), position{key.Line, key.Column}, "unknown key", "")
		return
	}
	near := suggest(key.Value, names)
	elsewhere := d.keysNamed(key.Value)
	switch {
	case slices.Contains(d.keys, join(path, key.Value)):
		section, last, _ := strings.Cut(key.Value, ".")
		remedy = "write " + last + ": in the section " + section + ":"
	case slices.ContainsFunc(near, func(s string) bool { _, ok := present[s]; return !ok }):
		remedy = "did you mean " + strings.Join(near, " or ") + "?"
		for _, s := range near {
			if _, ok := present[s]; !ok {
				d.problems.broken[join(path, s)] = true
			}
		}
	case len(elsewhere) > 0 && len(elsewhere) <= 3:
		remedy = "it belongs at " + strings.Join(elsewhere, " or ")
	case len(near) > 0:
		remedy = "did you mean " + strings.Join(near, " or ") + "?"
	case len(names) == 0:
		remedy = "nothing can be set here; write {}"
	case len(names) <= 16:
		remedy = "have " + strings.Join(names, ", ")
	default:
		remedy = "config.example.yaml lists every key"
	}
	d.problems.unreadable(join(path, shown), position{key.Line, key.Column}, "unknown key", remedy)
}

// note stores the position of a key: that of its value if both are on one line, else that of the key.
func (d *decoder) note(path string, key position, value *yaml.Node) {
	at := key
	if value.Kind == yaml.ScalarNode && value.Line == key.line {
		at = position{value.Line, value.Column}
	}
	d.problems.at[path] = at
}

func (d *decoder) wrong(n *yaml.Node, path, text, remedy string) {
	d.problems.unreadable(path, position{n.Line, n.Column}, text, remedy)
}

// value decodes n into v, and tells whether there is a value; null is none.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) bool {
	t := v.Type()
	switch {
	case isNull(n):
		return false
	case t == httpClientType:
		return d.httpClient(n, v, path)
	case isLeaf(t) && t.Kind() == reflect.Struct && t != secretType:
		return d.own(n, v, path)
	}
	switch t.Kind() {
	case reflect.Pointer:
		over := reflect.New(t.Elem())
		if !v.IsNil() { // v is from the block that this one is decoded over, which must not change
			over.Elem().Set(v.Elem())
		}
		v.Set(over)
		if n.Kind == yaml.ScalarNode && n.Tag == "!!bool" && n.Value == "true" && t.Elem().NumField() == 0 {
			return true // "terminal: true" is "terminal: {}"
		}
		if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
			return true
		}
		d.value(n, v.Elem(), path)
		return true
	case reflect.Struct:
		if t == secretType {
			break
		}
		d.fields(n, t, path, func(f reflect.StructField, value *yaml.Node, path string) {
			d.value(value, v.FieldByIndex(f.Index), path)
		})
		return true
	case reflect.Slice:
		return d.list(n, v, path)
	case reflect.Map:
		return d.mapping(n, v, path)
	}
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, path, "is "+kindOf(n)+", want "+want(t), "")
		return false
	}
	text, remedy := scalar(n.Value, n.Tag, v, path)
	if text != "" {
		d.wrong(n, path, text, remedy)
	}
	return text == ""
}

// own decodes a value of a type that decodes itself.
func (d *decoder) own(n *yaml.Node, v reflect.Value, path string) bool {
	if err := n.Decode(v.Addr().Interface()); err != nil {
		d.wrong(n, path, quoted.ReplaceAllString(strings.TrimPrefix(err.Error(), "yaml: "), "…"), "")
		return false
	}
	return true
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) bool {
	elem := v.Type().Elem()
	if n.Kind == yaml.ScalarNode && elem.Kind() == reflect.String { // "receivers: a, b", as in the environment
		for part := range strings.SplitSeq(n.Value, ",") {
			v.Set(reflect.Append(v, reflect.ValueOf(strings.TrimSpace(part)).Convert(elem)))
		}
		return true
	}
	if n.Kind == yaml.ScalarNode && elem == reflect.TypeFor[time.Duration]() { // "compare: 24h", as before lists
		n = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: n.Line, Column: n.Column, Content: []*yaml.Node{n}}
	}
	if n.Kind != yaml.SequenceNode {
		remedy := "write a list: [a, b]"
		if elem.Kind() == reflect.Struct {
			remedy = "begin each entry with \"- \""
		}
		d.wrong(n, path, "is "+kindOf(n)+", want a list", remedy)
		return false
	}
	d.problems.emptied[path] = len(n.Content) == 0
	var base []reflect.Value // the entries of the block that this one is decoded over
	for i := range v.Len() {
		base = append(base, v.Index(i))
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, len(n.Content)))
	_, merges := reflect.New(elem).Interface().(decodedOver)
	if merges {
		v.Set(reflect.Append(v, base...))
	}
	seen := map[string]bool{}
	for i, c := range n.Content {
		sub := path + "[" + strconv.Itoa(i) + "]"
		d.problems.at[sub] = position{c.Line, c.Column}
		if isNull(c) {
			d.wrong(c, sub, "is empty", "remove the entry")
			v.Set(reflect.Append(v, reflect.Zero(elem))) // so that the entries after it keep their index
			continue
		}
		if name := entryNameOf(c); name != "" {
			if _, twice := d.problems.named[path+"{"+name+"}"]; !twice {
				d.problems.named[path+"{"+name+"}"] = sub
			}
		}
		d.entry(c, v, sub)
		switch name := entryNameOf(c); {
		case !merges:
		case name == "":
			d.problems.unreadable(sub+".name", position{c.Line, c.Column}, "is missing", "give it a name")
		case seen[name]:
			at := d.problems.at[sub+".name"]
			d.problems.unreadable(sub+".name", at, "another entry has the name "+safetext.Quote(name, 80), "rename or remove one")
		default:
			seen[name] = true
		}
	}
	return true
}

// based is an entry of a list that is decoded over defaults, which SetBase sets by its name.
type based interface{ SetBase(name string) }

// decodedOver is an entry of a list that is decoded over the entry of its name, if there is one, and appended if not. DecodedOver is
// called after that.
type decodedOver interface{ DecodedOver() }

// entry decodes an entry of a list into its place.
func (d *decoder) entry(n *yaml.Node, list reflect.Value, path string) {
	name := entryNameOf(n)
	e := reflect.New(list.Type().Elem())
	if b, ok := e.Interface().(based); ok {
		b.SetBase(name)
	}
	at := -1
	if _, ok := e.Interface().(decodedOver); ok {
		for i := range list.Len() {
			if name != "" && list.Index(i).FieldByName("Name").String() == name {
				at = i
				e.Elem().Set(list.Index(i))
			}
		}
	}
	d.value(n, e.Elem(), path)
	if over, ok := e.Interface().(decodedOver); ok {
		over.DecodedOver()
	}
	if at >= 0 {
		list.Index(at).Set(e.Elem())
		return
	}
	list.Set(reflect.Append(list, e.Elem()))
}

// entryNameOf returns the value of the key name of a list entry; "" if there is none.
func entryNameOf(n *yaml.Node) string {
	for k := 0; k+1 < len(n.Content) && n.Kind == yaml.MappingNode; k += 2 {
		if n.Content[k].Value == "name" && n.Content[k+1].Kind == yaml.ScalarNode {
			return n.Content[k+1].Value
		}
	}
	return ""
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string) bool {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "is "+kindOf(n)+", want a mapping", "write key: value lines below it")
		return false
	}
	v.Set(reflect.MakeMap(v.Type()))
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		sub := join(path, safetext.Line(key.Value, 60))
		if key.Kind != yaml.ScalarNode || seen[key.Value] {
			d.wrong(key, sub, "is not text, or set twice", "")
			continue
		}
		seen[key.Value] = true
		d.note(sub, position{key.Line, key.Column}, value)
		e := reflect.New(v.Type().Elem()).Elem()
		if d.value(value, e, sub) {
			v.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), e)
		}
	}
	return true
}

// httpClient decodes a block of prometheus/common. The keys are checked here, which gives problems a line; the values are checked by
// prometheus/common.
func (d *decoder) httpClient(n *yaml.Node, v reflect.Value, path string) bool {
	before := len(d.problems.list)
	d.check(n, reflect.TypeFor[promconfig.HTTPClientConfig](), path)
	if len(d.problems.list) > before {
		return false
	}
	b, err := yaml.Marshal(n)
	if err == nil {
		var c *promconfig.HTTPClientConfig
		if c, err = promconfig.LoadHTTPConfig(string(b)); err == nil {
			v.Set(reflect.ValueOf(HTTPClient{Config: c}))
			return true
		}
	}
	text := quoted.ReplaceAllString(strings.ReplaceAll(err.Error(), "\n", " "), "…")
	d.problems.unreadable(path, d.problems.at[path], text, "")
	return false
}

// check reports keys and kinds that do not fit a type of prometheus/common, which has yaml tags.
func (d *decoder) check(n *yaml.Node, t reflect.Type, path string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if isNull(n) {
		return
	}
	switch {
	case t == reflect.TypeFor[promconfig.Headers]():
		d.check(n, reflect.TypeFor[map[string]promconfig.Header](), path)
	case t.Kind() == reflect.Struct && hasYAMLFields(t):
		d.fields(n, t, path, func(f reflect.StructField, value *yaml.Node, path string) { d.check(value, f.Type, path) })
	case t.Kind() == reflect.Map:
		if n.Kind != yaml.MappingNode {
			d.wrong(n, path, "is "+kindOf(n)+", want a mapping", "write key: value lines below it")
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			d.check(n.Content[i+1], t.Elem(), join(path, safetext.Line(n.Content[i].Value, 60)))
		}
	case t.Kind() == reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			d.wrong(n, path, "is "+kindOf(n)+", want a list", "write a list: [a, b]")
			return
		}
		for i, c := range n.Content {
			d.check(c, t.Elem(), path+"["+strconv.Itoa(i)+"]")
		}
	case t.Kind() == reflect.Interface:
	case n.Kind != yaml.ScalarNode:
		d.wrong(n, path, "is "+kindOf(n)+", want "+want(t), "")
	case t.Kind() == reflect.Bool && n.Tag != "!!bool":
		d.wrong(n, path, "is "+kindOf(n)+", want true or false", "")
	}
}

func hasYAMLFields(t reflect.Type) bool {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("yaml") != "" {
			return true
		}
	}
	return false
}

// isLeaf tells whether a type is a single value in the file, although it may be a struct.
func isLeaf(t reflect.Type) bool {
	if t == secretType || t == httpClientType || t == durationType {
		return true
	}
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[yaml.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// structFields adds the fields of a struct to into, by their names in the file.
func structFields(t reflect.Type, into map[string]reflect.StructField) {
	for _, f := range reflect.VisibleFields(t) {
		name, opts, _ := strings.Cut(cmpTag(f), ",")
		if name != "" && name != "-" && f.IsExported() && !strings.Contains(opts, "inline") {
			into[name] = f
		}
	}
}

func cmpTag(f reflect.StructField) string {
	if tag, ok := f.Tag.Lookup("mapstructure"); ok {
		return tag
	}
	return f.Tag.Get("yaml")
}

func keysOf(fields map[string]reflect.StructField) []string {
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// keysNamed returns the settings and sections whose last part is name: where a key in the wrong place may belong.
func (d *decoder) keysNamed(name string) []string {
	var out []string
	for _, key := range d.keys {
		if at := strings.Index("."+key+".", "."+name+"."); at >= 0 && name != "" {
			if up := key[:at+len(name)]; !slices.Contains(out, up) {
				out = append(out, up)
			}
		}
	}
	return out
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "empty"
	}
	return "text"
}

func want(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration such as 30s, 10m, 24h or 7d"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Float64:
		return "a number"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "a whole number"
	case t.Kind() == reflect.Slice:
		return "a list"
	}
	return "text"
}

var (
	decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	number  = regexp.MustCompile(`^[+-]?[0-9_]*\.?[0-9_]+(e[+-]?[0-9]+)?$`)
)

// scalar sets v from a text of the file, with its YAML tag, or of the environment, with the tag "". It returns what is wrong and what
// to do, or "". It shows a value only if it cannot be a secret in the wrong place.
func scalar(text, tag string, v reflect.Value, key string) (wrong, remedy string) {
	t := v.Type()
	bare := tag == "!!int" || tag == "!!float"
	switch {
	case tag == "!!binary":
		return "is binary data", "write it as text"
	case t == secretType:
		v.Set(reflect.ValueOf(secret.New(text)))
	case t == durationType:
		d, fix, err := duration(text, bare, key)
		if err != nil {
			return err.Error(), fix
		}
		v.SetInt(int64(d))
	case t.Kind() == reflect.String:
		v.SetString(text)
	case t.Kind() == reflect.Bool:
		switch text {
		case "true", "True", "TRUE":
			v.SetBool(true)
		case "false", "False", "FALSE":
			v.SetBool(false)
		case "yes", "on", "1", "y", "Yes", "On":
			return "want true or false", "write true"
		case "no", "off", "0", "n", "No", "Off":
			return "want true or false", "write false"
		default:
			return "want true or false", ""
		}
	case v.CanInt():
		n, err := strconv.ParseInt(text, 10, t.Bits())
		switch {
		case errors.Is(err, strconv.ErrRange):
			return "is out of range", ""
		case err != nil || !decimal.MatchString(text):
			return "want a whole number", "write decimal digits only"
		}
		v.SetInt(n)
	case v.CanFloat():
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return "want a number", "write it as 0.8"
		}
		v.SetFloat(f)
	default:
		return "cannot be set from text", ""
	}
	return "", ""
}

// defaultUnits are the units that a remedy suggests for a number without one, by the last part of the key.
var defaultUnits = map[string]string{"missing_after": "m", "window": "h", "lookback": "h", "catch_up": "h", "compare": "h", "timeout": "s"}

// duration parses Go's durations, and Prometheus's, which have days and weeks (40d). A number without a unit is an error; earlier
// versions read it as nanoseconds.
func duration(text string, bare bool, key string) (d time.Duration, remedy string, err error) {
	text = strings.TrimSpace(text)
	if text == "0" {
		return 0, "", nil
	}
	if bare || number.MatchString(text) {
		name := key[strings.LastIndex(key, ".")+1:]
		name, _, _ = strings.Cut(name, "[")
		unit, ok := defaultUnits[name]
		if d, isText := defaults()[strings.ReplaceAll(key, ".", "::")].(string); isText {
			unit, ok = strings.TrimLeft(d, "0123456789."), true
		}
		if !ok {
			unit = "s"
		}
		shown := safetext.Line(text, 20)
		return 0, "write " + shown + unit, fmt.Errorf("%s has no unit", shown)
	}
	if d, err := time.ParseDuration(text); err == nil {
		return d, "", nil
	}
	p, err := model.ParseDuration(text)
	if err != nil {
		return 0, "write a number with a unit: 30s, 10m, 24h or 7d", fmt.Errorf("%s is not a duration", safetext.Quote(text, 40))
	}
	return time.Duration(p), "", nil
}

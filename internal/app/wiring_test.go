package app

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/config"
)

const module = "github.com/awoooi/awoooi-reporter/"

// settingsType are the names of types by which a part takes its settings.
var settingsType = regexp.MustCompile(`(Config|Options|Settings|Set|Limits|Site|Defaults|Place)$`)

// notSet are the fields that the program leaves at their defaults, since only tests need other values.
var notSet = map[string][]string{
	"outbox.Config": {
		"BackoffMin", "BackoffMax", "OutageMax", "ProbeMax", "SendTimeout", "ComposeTimeout", "StopTimeout", "Sweep", "NoticeAfter",
		"NoticeApart", "NoticeAgain",
	},
	"telegram.Config":       {"RetryMax", "RetryWaitMin", "RetryWaitMax", "Timeout"},
	"httppost.Config":       {"Now"},
	"promql.EmbeddedConfig": {"Job", "Instance", "Reload"},
}

// A setting of a part is worth nothing unless the program sets it: each field of the types by which parts take their settings is set
// where the parts are wired.
func TestProgramSetsEverySettingOfItsParts(t *testing.T) {
	t.Parallel()
	fields := map[string][]string{} // by import path and type
	for _, root := range []string{"../../reporter", "../../collector", "../../dashboards", "../../internal"} {
		for dir, files := range parsedBelow(t, root) {
			for _, f := range files {
				for _, d := range f.Decls {
					for name, s := range structs(d) {
						if settingsType.MatchString(name) {
							fields[module+strings.TrimPrefix(filepath.ToSlash(dir), "../../")+"."+name] = s
						}
					}
				}
			}
		}
	}
	set := map[string]map[string]bool{}
	assigned := map[string]bool{} // to variables whose type is not known here
	for _, f := range parsedBelow(t, ".")["."] {
		imported := map[string]string{}
		for _, i := range f.Imports {
			full := strings.Trim(i.Path.Value, `"`)
			name := path.Base(full)
			if i.Name != nil {
				name = i.Name.Name
			}
			imported[name] = full
		}
		typeOf := func(e ast.Expr) string { // "" is not known
			if star, ok := e.(*ast.StarExpr); ok {
				e = star.X
			}
			switch e := e.(type) {
			case *ast.Ident:
				return "app." + e.Name
			case *ast.SelectorExpr:
				if pkg, ok := e.X.(*ast.Ident); ok {
					return imported[pkg.Name] + "." + e.Sel.Name
				}
			}
			return ""
		}
		mark := func(of, field string) {
			if set[of] == nil {
				set[of] = map[string]bool{}
			}
			set[of][field] = true
		}
		for _, d := range f.Decls {
			vars := map[string]string{}
			ast.Inspect(d, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncType:
					for _, p := range n.Params.List {
						for _, name := range p.Names {
							vars[name.Name] = typeOf(p.Type)
						}
					}
				case *ast.CompositeLit:
					for _, e := range n.Elts {
						if kv, ok := e.(*ast.KeyValueExpr); ok {
							if key, ok := kv.Key.(*ast.Ident); ok {
								mark(typeOf(n.Type), key.Name)
							}
						}
					}
				case *ast.AssignStmt:
					for i, to := range n.Lhs {
						switch to := to.(type) {
						case *ast.Ident:
							if len(n.Lhs) == len(n.Rhs) {
								if c, ok := n.Rhs[i].(*ast.CompositeLit); ok {
									vars[to.Name] = typeOf(c.Type)
								}
							}
						case *ast.SelectorExpr:
							if x, ok := to.X.(*ast.Ident); ok && vars[x.Name] != "" {
								mark(vars[x.Name], to.Sel.Name)
							} else {
								assigned[to.Sel.Name] = true
							}
						}
					}
				}
				return true
			})
		}
	}
	checked := 0
	for _, full := range slices.Sorted(maps.Keys(fields)) {
		short := path.Base(full)
		if set[full] == nil || short == "reporter.SendOptions" {
			continue // made by another part, for each call
		}
		checked++
		for _, field := range fields[full] {
			if is := set[full][field] || assigned[field]; is == slices.Contains(notSet[short], field) {
				t.Errorf("%s.%s: set by the program: %v", short, field, is)
			}
		}
	}
	if checked < 20 {
		t.Errorf("%d types were checked, there are more", checked)
	}
}

// Each setting of the configuration is read where the parts are wired, or has become another one before.
func TestProgramReadsEverySettingOfTheConfiguration(t *testing.T) {
	t.Parallel()
	read := map[string]bool{
		"DSNFile": true, "URLFile": true, "BearerTokenFile": true, "PasswordFile": true, "BotTokenFile": true, "SecretFile": true, // secrets
		"Days": true, "From": true, "To": true, // Config.Hours
		"HTTPConfig": true, "Config": true, // HTTPClient.Value
	}
	for _, f := range append(parsedBelow(t, ".")["."], parsedBelow(t, "../../cmd/awoooi-reporter")["../../cmd/awoooi-reporter"]...) {
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				read[s.Sel.Name] = true
			}
			return true
		})
	}
	var walk func(of reflect.Type, at string)
	walk = func(of reflect.Type, at string) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Location]() || of.PkgPath() != module+"internal/config" {
			return
		}
		for n := range of.NumField() {
			f := of.Field(n)
			if !read[f.Name] {
				t.Errorf("nothing reads %s%s", at, f.Name)
			}
			walk(f.Type, at+f.Name+".")
		}
	}
	walk(reflect.TypeFor[config.Config](), "")
}

// parsedBelow are the files below a directory that are no tests, by directory.
func parsedBelow(t *testing.T, root string) map[string][]*ast.File {
	t.Helper()
	out := map[string][]*ast.File{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err == nil {
			out[filepath.Dir(name)] = append(out[filepath.Dir(name)], f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// structs are the exported fields of the struct types of a declaration.
func structs(d ast.Decl) map[string][]string {
	out := map[string][]string{}
	g, ok := d.(*ast.GenDecl)
	if !ok {
		return nil
	}
	for _, spec := range g.Specs {
		ts, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		s, ok := ts.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, f := range s.Fields.List {
			for _, name := range f.Names {
				if name.IsExported() {
					out[ts.Name.Name] = append(out[ts.Name.Name], name.Name)
				}
			}
			if of, ok := f.Type.(*ast.SelectorExpr); ok && len(f.Names) == 0 {
				out[ts.Name.Name] = append(out[ts.Name.Name], of.Sel.Name)
			}
		}
	}
	return out
}

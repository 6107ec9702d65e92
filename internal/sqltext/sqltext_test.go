package sqltext_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/awoooi/awoooi-reporter/internal/sqltext"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sql, want string
		names     []string
	}{
		"plain":                        {"SELECT @since, @until", "SELECT $1, $2", []string{"since", "until"}},
		"twice":                        {"@since @since", "$1 $1", []string{"since"}},
		"after an operator":            {"a>=@since AND b=@until", "a>=$1 AND b=$2", []string{"since", "until"}},
		"cast":                         {"@since::timestamptz", "$1::timestamptz", []string{"since"}},
		"minus":                        {"@since - interval '1 day'", "$1 - interval '1 day'", []string{"since"}},
		"minus without spaces":         {"x-@since", "x-$1", []string{"since"}},
		"in a string":                  {"'@since' || '@nobody'", "'@since' || '@nobody'", nil},
		"a string with a quote":        {"'it''s @nobody' @until", "'it''s @nobody' $2", []string{"until"}},
		"a backslash in a string":      {`'\' @until '@nobody'`, `'\' $2 '@nobody'`, []string{"until"}},
		"an escape string":             {`E'\' @nobody' @until`, `E'\' @nobody' $2`, []string{"until"}},
		"an identifier that ends in e": {`SELECT fe '@nobody' @until`, `SELECT fe '@nobody' $2`, []string{"until"}},
		"a bit string":                 {"B'101' @until X'1F'", "B'101' $2 X'1F'", []string{"until"}},
		"a Unicode string":             {`U&'d\0061t @nobody' @until`, `U&'d\0061t @nobody' $2`, []string{"until"}},
		"a quoted identifier":          {`"@nobody" "a""@nobody" @until`, `"@nobody" "a""@nobody" $2`, []string{"until"}},
		"dollar quotes":                {"$$ @nobody ' $$ @until", "$$ @nobody ' $$ $2", []string{"until"}},
		"tagged dollar quotes":         {"$a1$ @nobody $$ $a1$ @until", "$a1$ @nobody $$ $a1$ $2", []string{"until"}},
		"a dollar in an identifier":    {"a$b$ @until c$b$", "a$b$ $2 c$b$", []string{"until"}},
		"a comment":                    {"1 -- @nobody '\n@until", "1 -- @nobody '\n$2", []string{"until"}},
		"a comment at the end":         {"@until -- @nobody", "$2 -- @nobody", []string{"until"}},
		"a nested comment":             {"/* /* @nobody */ @nobody */ @until", "/* /* @nobody */ @nobody */ $2", []string{"until"}},
		"a comment in an operator":     {"1 +/* @nobody */@until", "1 +/* @nobody */$2", []string{"until"}},
		"contains":                     {"a @> b AND c<@d AND e @@ f AND g@@h AND i^@j", "a @> b AND c<@d AND e @@ f AND g@@h AND i^@j", nil},
		"contains a range":             {"a <@ tstzrange(@since, @until)", "a <@ tstzrange($1, $2)", []string{"since", "until"}},
		"length of a path":             {"@-@ path '(0,0)' ", "@-@ path '(0,0)' ", nil},
		"absolute value":               {"@ x + @ -5 + @-5 + @(y) + @\"z\"", "@ x + @ -5 + @-5 + @(y) + @\"z\"", nil},
		"JSON path":                    {"j @? '$.a' AND j @@ '$.b > @until'", "j @? '$.a' AND j @@ '$.b > @until'", nil},
		"a digit after it":             {"ARRAY[@until]", "ARRAY[$2]", []string{"until"}},
		"right after a key word":       {"BETWEEN@since AND@until", "BETWEEN $1 AND $2", []string{"since", "until"}},
		"an escape string of lines":    {"E'a' \n '\\' @nobody' @until", "E'a' \n '\\' @nobody' $2", []string{"until"}},
		"an escape string of one line": {`E'a' '\' @until`, `E'a' '\' $2`, []string{"until"}},
		"a semicolon at the end":       {"SELECT @until; -- done\n ; ", "SELECT $2; -- done\n ; ", []string{"until"}},
		"a number":                     {"1e5 + 1.5e-3 + @until", "1e5 + 1.5e-3 + $2", []string{"until"}},
		"nothing":                      {"", "", nil},
		"an @ at the end":              {"SELECT 1 @", "SELECT 1 @", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := sqltext.Parse(tc.sql)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Names(); !slices.Equal(got, tc.names) {
				t.Errorf("names are %q, want %q", got, tc.names)
			}
			if got, err := s.Numbered("since", "until"); err != nil || got != tc.want {
				t.Errorf("numbered: %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for sql, says := range map[string]string{
		"SELECT @untl":             "unknown name @untl (have @since, @until)",
		"SELECT @Since":            "unknown name @Since",
		"SELECT @until1":           "unknown name @until1",
		"SELECT @x":                "a space after @ makes it an operator",
		"SELECT 1; DROP TABLE x":   "more than one statement",
		"SELECT 1; ; SELECT 2":     "more than one statement",
		"SELECT 'open":             "a string has no end",
		`SELECT E'open\'`:          "a string has no end",
		"SELECT $x$ open $y$":      "a string has no end",
		`SELECT "open`:             "a quoted identifier has no end",
		"SELECT /* /* */ open":     "a comment has no end",
		"SELECT $1":                "numbered parameters",
		"WHERE created_at<@until":  "may be an operator or a parameter",
		"WHERE created_at @@since": "may be an operator or a parameter",
	} {
		s, err := sqltext.Parse(sql)
		if err == nil {
			err = s.Check("since", "until")
		}
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", sql, err, says)
		}
	}
}

func TestIdentifiers(t *testing.T) {
	t.Parallel()
	s, err := sqltext.Parse(`SELECT i.Created_At, "Mixed ""Case""" FROM incidents AS i -- comment
		WHERE x = 'text' AND 1e5 > @since`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"select", "i", "created_at", `Mixed "Case"`, "from", "incidents", "as", "where", "x", "and"}
	if got := s.Identifiers(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"SELECT @since", "$$@a$$", "E'\\'@a'", "/*/**/*/@a", "a<@b", "\"a\"\"b\"", "@", "'", "@A@@A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		s, err := sqltext.Parse(sql)
		if err != nil {
			return
		}
		refused := s.Check(s.Names()...) // a name that is used where an operator may be meant, as in "@A@@A"
		out, err := s.Numbered(s.Names()...)
		if (err == nil) != (refused == nil) {
			t.Fatalf("%q: Check says %v, Numbered %v", sql, refused, err)
		}
		if err != nil {
			return
		}
		if len(s.Names()) == 0 && out != sql {
			t.Fatalf("%q became %q without a name", sql, out)
		}
	})
}

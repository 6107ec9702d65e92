package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5/pgtype"
)

// rowsAtOnce is how many rows one statement writes on PostgreSQL.
const rowsAtOnce = 1000

// column is a column and the type of its values.
type column struct {
	name string
	kind columnKind
}

// columnKind is a type as an array of PostgreSQL has it.
type columnKind string

const (
	textColumn columnKind = "text"
	intColumn  columnKind = "bigint" // also of times
	boolColumn columnKind = "boolean"
)

// columns are the columns of these names. A name that is followed by INT or BOOL is of that type, the others are texts.
func columns(specs ...string) []column {
	out := make([]column, len(specs))
	for n, spec := range specs {
		name, kind, _ := strings.Cut(spec, " ")
		out[n] = column{name, textColumn}
		switch kind {
		case "INT":
			out[n].kind = intColumn
		case "BOOL":
			out[n].kind = boolColumn
		}
	}
	return out
}

// table is a table's name, its key, and its other columns: what is read, inserted and replaced.
type table struct {
	name      string
	key, rest []column
}

// all is its columns, in the order of a row.
func (t table) all() []column { return slices.Concat(t.key, t.rest) }

// list is the columns for a SELECT or an INSERT.
func (t table) list() string { return strings.Join(namesOf(t.all()), ", ") }

func namesOf(list []column) []string {
	out := make([]string, len(list))
	for n, c := range list {
		out[n] = c.name
	}
	return out
}

// part is a table's key and some of its columns, for updates that leave the others, and their indices, as they are.
type part struct {
	table
	places []int // of its columns in a row of the whole table
}

// part selects columns by their names.
func (t table) part(of ...string) part {
	p := part{table: table{name: t.name, key: t.key}}
	all := t.all()
	for n := range t.key {
		p.places = append(p.places, n)
	}
	for _, name := range of {
		n := slices.IndexFunc(all, func(c column) bool { return c.name == name })
		p.places, p.rest = append(p.places, n), append(p.rest, all[n])
	}
	return p
}

// upsert inserts rows, and replaces those whose key is there.
func (q querier) upsert(t table) *rowWriter {
	set := namesOf(t.rest)
	for n, c := range set {
		set[n] = c + "=excluded." + c
	}
	w := &rowWriter{querier: q, columns: t.all()}
	values := "SELECT * FROM " + unnest(w.columns)
	if q.sqlite {
		values = "VALUES (" + placeholders(1, len(w.columns)) + ")"
	}
	w.statement = q.text("INSERT INTO " + t.name + " (" + t.list() + ") " + values +
		" ON CONFLICT (" + strings.Join(namesOf(t.key), ", ") + ") DO UPDATE SET " + strings.Join(set, ", "))
	return w
}

// update changes a part of rows that are there. It is given whole rows.
func (q querier) update(p part) *rowWriter {
	w := &rowWriter{querier: q, columns: p.all(), places: p.places}
	set, where := namesOf(p.rest), namesOf(p.key)
	for n, c := range set {
		if set[n] = c + "=v." + c; q.sqlite {
			set[n] = c + "=$" + strconv.Itoa(len(p.key)+n+1)
		}
	}
	for n, c := range where {
		if where[n] = p.name + "." + c + "=v." + c; q.sqlite {
			where[n] = c + "=$" + strconv.Itoa(n+1)
		}
	}
	from := ""
	if !q.sqlite {
		from = " FROM " + unnest(w.columns) + " v(" + p.list() + ")"
	}
	w.statement = q.text("UPDATE " + p.name + " SET " + strings.Join(set, ", ") + from + " WHERE " + strings.Join(where, " AND "))
	return w
}

// unnest is PostgreSQL's table of arrays, one for each column, as arguments from $1 on.
func unnest(list []column) string {
	args := make([]string, len(list))
	for n, c := range list {
		args[n] = "$" + strconv.Itoa(n+1) + "::" + string(c.kind) + "[]"
	}
	return "unnest(" + strings.Join(args, ", ") + ")"
}

// rowWriter writes rows by one statement for each on SQLite, where it is prepared once, and for many on PostgreSQL, where the
// round trip costs more.
type rowWriter struct {
	querier
	statement string
	columns   []column
	places    []int   // of the columns in the rows that it is given; nil is all
	rows      [][]any // that wait, on PostgreSQL
}

func (w *rowWriter) add(ctx context.Context, row ...any) error {
	if w.places != nil {
		picked := make([]any, len(w.places))
		for n, place := range w.places {
			picked[n] = row[place]
		}
		row = picked
	}
	if w.sqlite {
		if err := ctx.Err(); err != nil {
			return err
		}
		// Without a context that may end, for which the driver starts a goroutine at each statement.
		_, err := w.on.ExecContext(context.WithoutCancel(ctx), w.statement, row...)
		return err
	}
	if w.rows = append(w.rows, row); len(w.rows) >= rowsAtOnce {
		return w.end(ctx)
	}
	return nil
}

// end writes the rows that wait.
func (w *rowWriter) end(ctx context.Context) error {
	if len(w.rows) == 0 {
		return nil
	}
	args := make([]any, len(w.columns))
	for n, c := range w.columns {
		var err error
		if args[n], err = c.array(w.rows, n); err != nil {
			return err
		}
	}
	w.rows = w.rows[:0]
	_, err := w.on.ExecContext(ctx, w.statement, args...)
	return err
}

// array is the values of a column, as the driver takes them for an array.
func (c column) array(rows [][]any, place int) (any, error) {
	switch c.kind {
	case intColumn:
		out := make([]pgtype.Int8, len(rows))
		for n, row := range rows {
			switch v := row[place].(type) {
			case nil:
			case int64:
				out[n] = pgtype.Int8{Int64: v, Valid: true}
			case int:
				out[n] = pgtype.Int8{Int64: int64(v), Valid: true}
			default:
				return nil, fmt.Errorf("column %s: %T", c.name, v)
			}
		}
		return out, nil
	case boolColumn:
		return valuesOf[bool](rows, place, c.name)
	}
	return valuesOf[string](rows, place, c.name)
}

func valuesOf[T any](rows [][]any, place int, name string) ([]T, error) {
	out := make([]T, len(rows))
	for n, row := range rows {
		v, ok := row[place].(T)
		if !ok {
			return nil, fmt.Errorf("column %s: %T", name, row[place])
		}
		out[n] = v
	}
	return out, nil
}

// each is a table of one column, value, of the elements of a JSON array in argument n.
func (q querier) each(n int) string {
	if q.sqlite {
		return "json_each($" + strconv.Itoa(n) + ")"
	}
	return "json_array_elements($" + strconv.Itoa(n) + "::json)"
}

// byFingerprint follows alerts in a query that looks up many of them. SQLite would take another index and read all that are firing for
// each.
func (q querier) byFingerprint() string {
	if q.sqlite {
		return " INDEXED BY alerts_fingerprint"
	}
	return ""
}

// element is the element n of value, an array, as a text or as an integer.
func (q querier) element(n int) string { return "(v.value ->> " + strconv.Itoa(n) + ")" }

// integer is a number of JSON, which SQLite returns as one. A cast would give it an affinity, with which an index of an expression
// cannot be used.
func (q querier) integer(n int) string {
	if q.sqlite {
		return q.element(n)
	}
	return "CAST(v.value ->> " + strconv.Itoa(n) + " AS BIGINT)"
}

// array is the JSON of the rows, for each.
func array(rows [][]any) (string, error) {
	if rows == nil {
		rows = [][]any{}
	}
	b, err := json.Marshal(rows)
	return string(b), err
}

// jsonRows writes the JSON of rows, for each, where there are many of them: it takes no memory for a single one.
type jsonRows struct{ json []byte }

// row begins a row, of which text and integer write the elements.
func (r *jsonRows) row() *jsonRows {
	if r.empty() {
		r.json = append(r.json, "[["...)
	} else {
		r.json = append(r.json, "],["...)
	}
	return r
}

func (r *jsonRows) text(s string) *jsonRows {
	r.next()
	// The error says that s was not valid UTF-8, and has been written as the database stores it.
	r.json, _ = jsontext.AppendQuote(r.json, s)
	return r
}

func (r *jsonRows) integer(n int64) *jsonRows {
	r.next()
	r.json = strconv.AppendInt(r.json, n, 10)
	return r
}

// next separates an element from the one before it.
func (r *jsonRows) next() {
	if r.json[len(r.json)-1] != '[' {
		r.json = append(r.json, ',')
	}
}

func (r *jsonRows) empty() bool { return len(r.json) == 0 }

func (r *jsonRows) String() string {
	if r.empty() {
		return "[]"
	}
	return string(r.json) + "]]"
}

package store

import (
	"context"
	"encoding/json"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// rowsAtOnce is how many rows one statement inserts, a power of 2; both databases take well over 32767 arguments.
const rowsAtOnce = 256

// table is a table's name, its key, and its other columns: what is read, inserted and replaced.
type table struct {
	name         string
	key, columns []string
}

// list is the columns for a SELECT or an INSERT.
func (t table) list() string { return strings.Join(slices.Concat(t.key, t.columns), ", ") }

// upsert inserts rows, and replaces those whose key is there.
func (q querier) upsert(t table) *rowInserter {
	set := make([]string, len(t.columns))
	for n, c := range t.columns {
		set[n] = c + "=excluded." + c
	}
	return q.rows("INSERT INTO "+t.name+" ("+t.list()+") VALUES ", len(t.key)+len(t.columns),
		" ON CONFLICT ("+strings.Join(t.key, ", ")+") DO UPDATE SET "+strings.Join(set, ", "))
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

func (q querier) integer(n int) string {
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

// rowInserter gathers rows into statements of many.
type rowInserter struct {
	querier
	head, tail string
	columns    int
	args       []any
}

func (q querier) rows(head string, columns int, tail string) *rowInserter {
	return &rowInserter{querier: q, head: head, tail: tail, columns: columns}
}

func (r *rowInserter) add(ctx context.Context, row ...any) error {
	r.args = append(r.args, row...)
	if len(r.args) >= rowsAtOnce*r.columns {
		return r.end(ctx)
	}
	return nil
}

// end inserts what has gathered, by statements whose numbers of rows are powers of 2: PostgreSQL plans each text anew, and
// there are few texts that way.
func (r *rowInserter) end(ctx context.Context) error {
	rest := r.args
	for len(rest) > 0 {
		n := 1 << (bits.Len(uint(len(rest)/r.columns)) - 1) * r.columns
		if err := r.insert(ctx, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	r.args = r.args[:0]
	return nil
}

func (r *rowInserter) insert(ctx context.Context, args []any) error {
	var b strings.Builder
	b.WriteString(r.head)
	for n := range args {
		switch {
		case n == 0:
			b.WriteString("(")
		case n%r.columns == 0:
			b.WriteString("),(")
		default:
			b.WriteString(",")
		}
		if r.sqlite { // which searches a list for the name of each numbered argument
			b.WriteString("?")
		} else {
			b.WriteString("$" + strconv.Itoa(n+1))
		}
	}
	b.WriteString(")" + r.tail)
	_, err := r.exec(ctx, b.String(), args...)
	return err
}

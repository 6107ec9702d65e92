package store

import (
	"context"
	"database/sql"
	"sync"
)

// mostPrepared is how many statements are kept prepared, and mostCounted of how many texts the transactions are counted.
const (
	mostPrepared = 128
	mostCounted  = 1024
)

// statements are what is run often on a SQLite file, prepared: its driver would compile each text again.
type statements struct {
	mu    sync.Mutex
	ready map[string]*sql.Stmt
	runs  map[string]int // of texts that are not prepared; a transaction counts once
}

// preparedTx is a transaction that runs prepared statements where there are any.
type preparedTx struct {
	*sql.Tx
	of    *statements
	bound map[string]*sql.Stmt // to this transaction
	new   map[string]bool      // texts that were run once, and are not prepared
}

func (s *statements) begin(tx *sql.Tx) *preparedTx {
	return &preparedTx{Tx: tx, of: s, bound: map[string]*sql.Stmt{}, new: map[string]bool{}}
}

// end prepares what this transaction ran and another one did before. It does so after the transaction, because that has the one
// connection. A text that cannot be prepared is run as it is.
func (s *statements) end(ctx context.Context, db *sql.DB, p *preparedTx) {
	for text := range p.new {
		s.prepare(ctx, db, text)
	}
}

// prepare counts a run of a text, and prepares it at the second one. Otherwise, and where it cannot be prepared, it returns nil.
func (s *statements) prepare(ctx context.Context, db *sql.DB, text string) *sql.Stmt {
	if !s.again(text) {
		return nil
	}
	st, err := db.PrepareContext(ctx, text) //nolint:sqlclosecheck // closed with the database
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready[text] = st
	return st
}

// get is the prepared one of a text, or nil.
func (s *statements) get(text string) *sql.Stmt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready[text]
}

// again counts a run of a text, and says whether to prepare it: no other does so then.
func (s *statements) again(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready == nil || len(s.runs) >= mostCounted {
		s.runs = map[string]int{}
	}
	if s.ready == nil {
		s.ready = map[string]*sql.Stmt{}
	}
	s.runs[text]++
	return s.runs[text] == 2 && len(s.ready) < mostPrepared
}

// statement is the prepared one of a text, or nil.
func (p *preparedTx) statement(ctx context.Context, text string) *sql.Stmt {
	if st, ok := p.bound[text]; ok {
		return st
	}
	ready := p.of.get(text)
	switch {
	case ready != nil:
		p.bound[text] = p.StmtContext(ctx, ready)
	case p.new[text]: // again in this transaction
		st, err := p.PrepareContext(ctx, text) //nolint:sqlclosecheck // closed with the transaction
		if err != nil {
			return nil
		}
		p.bound[text] = st
	default:
		p.new[text] = true
	}
	return p.bound[text]
}

func (p *preparedTx) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if st := p.statement(ctx, text); st != nil { //nolint:sqlclosecheck // closed with the database
		return st.QueryContext(ctx, args...)
	}
	return p.Tx.QueryContext(ctx, text, args...)
}

func (p *preparedTx) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	if st := p.statement(ctx, text); st != nil { //nolint:sqlclosecheck // closed with the database
		return st.QueryRowContext(ctx, args...)
	}
	return p.Tx.QueryRowContext(ctx, text, args...)
}

func (p *preparedTx) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	if st := p.statement(ctx, text); st != nil { //nolint:sqlclosecheck // closed with the database
		return st.ExecContext(ctx, args...)
	}
	return p.Tx.ExecContext(ctx, text, args...)
}

// preparedDB is a SQLite file that is read by prepared statements where there are any.
type preparedDB struct {
	*sql.DB
	of *statements
}

func (p preparedDB) statement(ctx context.Context, text string) *sql.Stmt {
	if st := p.of.get(text); st != nil {
		return st
	}
	return p.of.prepare(ctx, p.DB, text)
}

func (p preparedDB) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if st := p.statement(ctx, text); st != nil { //nolint:sqlclosecheck // closed with the database
		return st.QueryContext(ctx, args...)
	}
	return p.DB.QueryContext(ctx, text, args...)
}

func (p preparedDB) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	if st := p.statement(ctx, text); st != nil { //nolint:sqlclosecheck // closed with the database
		return st.QueryRowContext(ctx, args...)
	}
	return p.DB.QueryRowContext(ctx, text, args...)
}

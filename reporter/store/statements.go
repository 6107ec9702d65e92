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

// statements are what writing transactions run often, prepared: SQLite's driver would compile each text anew.
type statements struct {
	mu    sync.Mutex
	ready map[string]*sql.Stmt
	runs  map[string]int // transactions with texts that are not prepared
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
		if !s.again(text) {
			continue
		}
		if st, err := db.PrepareContext(ctx, text); err == nil { //nolint:sqlclosecheck // closed with the database
			s.mu.Lock()
			s.ready[text] = st
			s.mu.Unlock()
		}
	}
}

// again counts a transaction that ran a text, and says whether to prepare it: no other does so then.
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
	p.of.mu.Lock()
	ready := p.of.ready[text]
	p.of.mu.Unlock()
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

// Package promexpr reads untrusted PromQL expressions: a text comes in, its metrics, type and threshold go out, without evaluation.
//
// Every text is measured by a linear scan before it is parsed, because Prometheus's parser recurses without a limit (a stack overflow
// ends the process and cannot be recovered) and takes quadratic time in brackets.
package promexpr

import (
	"errors"
	"fmt"
	"regexp/syntax"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/strutil"
)

// The limits of one expression. Generated alerting rules, such as Sloth's for several windows, stay below a tenth of them.
const (
	MaxLength  = 16 << 10 // bytes
	MaxNesting = 64       // brackets, parentheses and braces that are open at once, and operators in a row
	MaxTokens  = 2000     // bounds the depth of the parsed tree, which chains of operators increase too
	// MaxRegexp bounds the instructions of all regular expressions together; a counted repetition such as a{1000} has 1000.
	MaxRegexp = 20_000
)

// ErrLimit is wrapped by every error about an expression that is too long or too deeply nested.
var ErrLimit = errors.New("expression is beyond a limit")

// Check measures an expression without parsing it, in time linear in its length. Its errors wrap ErrLimit. A text that is not PromQL
// passes: the parser refuses it, or a server with an extended PromQL accepts it.
func Check(expr string) error {
	if len(expr) > MaxLength {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrLimit, len(expr), MaxLength)
	}
	var item parser.Item
	depth, row, program := 0, 0, 0
	lexer := parser.Lex(expr)
	for tokens := 0; ; tokens++ {
		if tokens > MaxTokens {
			return fmt.Errorf("%w: more than %d tokens", ErrLimit, MaxTokens)
		}
		lexer.NextItem(&item)
		if item.Typ.IsOperator() {
			row++
		} else if item.Typ != parser.COMMENT {
			row = 0
		}
		switch item.Typ {
		case parser.EOF, parser.ERROR:
			return nil
		case parser.LEFT_PAREN, parser.LEFT_BRACKET, parser.LEFT_BRACE:
			depth++
		case parser.RIGHT_PAREN, parser.RIGHT_BRACKET, parser.RIGHT_BRACE:
			depth--
		case parser.STRING:
			program += instructions(item.Val)
		}
		if depth > MaxNesting || row > MaxNesting {
			return fmt.Errorf("%w: nested deeper than %d", ErrLimit, MaxNesting)
		}
		if program > MaxRegexp {
			return fmt.Errorf("%w: regular expressions of more than %d instructions", ErrLimit, MaxRegexp)
		}
	}
}

// instructions estimates the size of the compiled program of a string literal; 0 if it is not a regular expression.
func instructions(literal string) int {
	text, err := strutil.Unquote(literal)
	if err != nil {
		return 0
	}
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return 0
	}
	return size(re)
}

// size recurses no deeper than 1000: regexp/syntax does not parse deeper trees. Neither does it parse nested repetitions beyond 1000,
// so that the result does not overflow.
func size(re *syntax.Regexp) int {
	own := 1 + len(re.Rune)/2
	if re.Op == syntax.OpLiteral {
		own = len(re.Rune)
	}
	for _, sub := range re.Sub {
		own += size(sub)
	}
	if re.Op == syntax.OpRepeat {
		own *= max(re.Min, re.Max, 1)
	}
	return own
}

package postgres

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/pg"
)

// converter returns the function that reads the text of a value of this type.
func (s *Source) converter(oid uint32) func(string) collector.Exact {
	number := func(string) (float64, error) { return 0, nil }
	label := func(text string) string { return text }
	switch oid {
	case pgtype.BoolOID:
		number = boolValue
	case pgtype.TimestamptzOID:
		number, label = s.seconds, s.inUTC
	case pgtype.TimestamptzArrayOID, pgtype.TstzrangeOID, pgtype.TstzrangeArrayOID, pgtype.TstzmultirangeOID:
		number, label = none("a list or range of times"), s.inUTC
	case pgtype.TimestampOID, pgtype.DateOID:
		number = s.seconds
	case pgtype.IntervalOID:
		number = intervalSeconds
	case pgtype.BitOID, pgtype.VarbitOID: // "101" is not a decimal number
		number = none("a bit string")
	case moneyOID: // its text depends on the server's locale
		number = none("money")
	default:
		number = collector.ParseNumber
	}
	return func(text string) collector.Exact {
		f, err := number(text)
		return collector.Exact{Text: label(text), Number: f, NotNumber: err}
	}
}

const moneyOID = 790

func none(what string) func(string) (float64, error) {
	err := fmt.Errorf("%s is not a finite number; cast it", what)
	return func(string) (float64, error) { return 0, err }
}

func boolValue(text string) (float64, error) {
	if text == "t" {
		return 1, nil
	}
	return 0, nil
}

// moment is the text of a date or time in the style ISO, with an offset for a timestamptz.
var moment = regexp.MustCompile(
	`(\d{4,})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(\.\d+)?(?:([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?)?)?( BC)?`)

var (
	errNoMoment = errors.New("the time is not a finite number")
	errNoZone   = errors.New("the time has no time zone: set timezone of the source, or cast it to timestamptz")
	errTwoTimes = errors.New("the time without zone is not one moment, because clocks of the zone were changed then: " +
		"cast it to timestamptz")
)

// seconds reads a time as seconds since 1970. A time without zone is in the source's zone; it is an error if that is unknown.
func (s *Source) seconds(text string) (float64, error) {
	m := moment.FindStringSubmatch(text)
	if m == nil || m[0] != text { // infinity
		return 0, errNoMoment
	}
	t, fraction := parse(m)
	if m[8] == "" {
		if s.zone == nil {
			return 0, errNoZone
		}
		certain := false
		if t, certain = pg.Local(t, s.zone); !certain {
			return 0, errTwoTimes
		}
	}
	f, err := strconv.ParseFloat(strconv.FormatInt(t.Unix(), 10), 64)
	return f + fraction, err
}

// parse reads a match of moment, in UTC if it has no offset; the fraction of a second is returned separately.
func parse(m []string) (time.Time, float64) {
	n := func(k int) int {
		v, _ := strconv.Atoi(m[k]) // digits, or "" for 0
		return v
	}
	year := n(1)
	if m[12] != "" {
		year = 1 - year
	}
	zone := time.UTC
	if m[8] != "" {
		offset := n(9)*3600 + n(10)*60 + n(11)
		if m[8] == "-" {
			offset = -offset
		}
		zone = time.FixedZone("", offset)
	}
	fraction, _ := strconv.ParseFloat("0"+m[7], 64)
	return time.Date(year, time.Month(n(2)), n(3), n(4), n(5), n(6), 0, zone), fraction
}

// inUTC rewrites the times in a text to UTC, as the server writes them in a session of that zone.
func (s *Source) inUTC(text string) string {
	if s.utc {
		return text
	}
	return moment.ReplaceAllStringFunc(text, func(one string) string {
		m := moment.FindStringSubmatch(one)
		if m[8] == "" {
			return one
		}
		t, _ := parse(m)
		t = t.UTC()
		year, era := t.Year(), ""
		if year <= 0 {
			year, era = 1-year, " BC"
		}
		return fmt.Sprintf("%04d-%s%s+00%s", year, t.Format("01-02 15:04:05"), m[7], era)
	})
}

// intervalSeconds reads an interval in the style postgres as seconds. Months and years have the same lengths as in
// EXTRACT(epoch).
func intervalSeconds(text string) (float64, error) {
	fault := errors.New("the interval is not a finite number")
	fields := strings.Fields(text)
	var total float64
	for n := 0; n < len(fields); n++ {
		if strings.Contains(fields[n], ":") {
			seconds, err := clockSeconds(fields[n])
			if err != nil {
				return 0, fault
			}
			total += seconds
			continue
		}
		count, err := strconv.ParseFloat(fields[n], 64)
		if n++; err != nil || n == len(fields) {
			return 0, fault
		}
		unit, ok := map[string]float64{"year": 365.25, "mon": 30, "day": 1}[strings.TrimSuffix(fields[n], "s")]
		if !ok {
			return 0, fault
		}
		total += count * unit * 24 * 60 * 60
	}
	return total, nil
}

// clockSeconds reads [+-]hours:minutes:seconds.
func clockSeconds(text string) (float64, error) {
	sign := 1.0
	if strings.HasPrefix(text, "-") {
		sign = -1
	}
	parts := strings.Split(strings.TrimLeft(text, "+-"), ":")
	if len(parts) != 3 {
		return 0, errors.New("not a time of day")
	}
	var total float64
	for _, p := range parts {
		f, err := strconv.ParseFloat(p, 64)
		if err != nil {
			return 0, err
		}
		total = total*60 + f
	}
	return sign * total, nil
}

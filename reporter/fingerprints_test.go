package reporter_test

import (
	"testing"

	"github.com/awoooi/awoooi-reporter/reporter"
)

func TestFingerprintsAreKeptApart(t *testing.T) {
	t.Parallel()
	// All are different: a text is stored as a number only if it is in Alertmanager's format.
	all := []string{
		"", "a", "0", "00", "000000000000000a", "000000000000000A", "00000000000000a", "0000000000000000a", "0x0000000000000a", "+00000000000000a",
		"ffffffffffffffff", "0000000000000000", "磁碟", "000000000000000a-0000000000000001",
	}
	var f reporter.Fingerprints
	for n, one := range all {
		if f.Has(one) {
			t.Errorf("%q is there before it was added", one)
		}
		f.Add(one)
		f.Add(one)
		if !f.Has(one) || f.Len() != n+1 {
			t.Errorf("%q was added: %v, %d are there, want %d", one, f.Has(one), f.Len(), n+1)
		}
	}
	both := reporter.NewFingerprints("a", "b", "000000000000000b")
	both.AddAll(&f)
	if both.Len() != len(all)+2 || !both.Has("b") || !both.Has("000000000000000b") || !both.Has("000000000000000a") || both.Has("c") {
		t.Errorf("together they have %d, want %d", both.Len(), len(all)+2)
	}
	var empty reporter.Fingerprints
	empty.AddAll(&f)
	if empty.Len() != len(all) {
		t.Errorf("a copy has %d, want %d", empty.Len(), len(all))
	}
}

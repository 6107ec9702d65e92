package reporter

import (
	"encoding/hex"
	"strconv"
)

// Fingerprints is a set of alerts by their fingerprints. Those of Alertmanager, 64 bits in hexadecimal, take a third of the memory
// that a map of texts takes: a comparison holds those of all clusters. The zero value is empty.
type Fingerprints struct {
	hashes map[uint64]struct{}
	others map[string]struct{} // of senders with fingerprints of their own
}

// NewFingerprints makes a set.
func NewFingerprints(list ...string) *Fingerprints {
	f := &Fingerprints{}
	for _, one := range list {
		f.Add(one)
	}
	return f
}

// Add puts a fingerprint into the set.
func (f *Fingerprints) Add(one string) {
	if hash, ok := hashOf(one); ok {
		if f.hashes == nil {
			f.hashes = map[uint64]struct{}{}
		}
		f.hashes[hash] = struct{}{}
		return
	}
	if f.others == nil {
		f.others = map[string]struct{}{}
	}
	f.others[one] = struct{}{}
}

// AddAll puts those of another set into this one.
func (f *Fingerprints) AddAll(of *Fingerprints) {
	for hash := range of.hashes {
		if f.hashes == nil {
			f.hashes = make(map[uint64]struct{}, len(of.hashes))
		}
		f.hashes[hash] = struct{}{}
	}
	for one := range of.others {
		f.Add(one)
	}
}

// Has says whether the set has a fingerprint.
func (f *Fingerprints) Has(one string) bool {
	if hash, ok := hashOf(one); ok {
		_, has := f.hashes[hash]
		return has
	}
	_, has := f.others[one]
	return has
}

// Len is how many fingerprints there are.
func (f *Fingerprints) Len() int { return len(f.hashes) + len(f.others) }

// hashOf is the number that a fingerprint as Alertmanager writes it stands for: 16 digits, the letters in lower case.
func hashOf(fingerprint string) (uint64, bool) {
	if len(fingerprint) != hex.EncodedLen(8) {
		return 0, false
	}
	for _, c := range []byte(fingerprint) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return 0, false
		}
	}
	hash, err := strconv.ParseUint(fingerprint, 16, 64)
	return hash, err == nil
}

package reporter

import (
	"encoding/hex"
	"strconv"
)

// Fingerprints is a set of fingerprints of alerts. Alertmanager's, which are 64 bits in hexadecimal, are stored as numbers: this
// takes a third of the memory of a map of strings, and a reconciliation holds those of all clusters. The zero value is empty.
type Fingerprints struct {
	hashes map[uint64]struct{}
	others map[string]struct{} // of senders whose fingerprints have another format
}

// NewFingerprints returns a set of the given fingerprints.
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

// AddAll puts the fingerprints of another set into this one.
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

// Has reports whether the set has a fingerprint.
func (f *Fingerprints) Has(one string) bool {
	if hash, ok := hashOf(one); ok {
		_, has := f.hashes[hash]
		return has
	}
	_, has := f.others[one]
	return has
}

// Len returns the number of fingerprints.
func (f *Fingerprints) Len() int { return len(f.hashes) + len(f.others) }

// hashOf parses a fingerprint in Alertmanager's format: 16 hexadecimal digits in lower case. False for other formats.
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

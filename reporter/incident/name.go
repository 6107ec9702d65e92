package incident

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// SampleLabel marks the alerts of the bundled sample.
const SampleLabel = "awoooi_sample"

// name names a new incident after the alert that opens it.
func (j *state) name(e reporter.AlertEvent, key string) string {
	list := names(j.cfg, e, key)
	for _, name := range list {
		if !j.taken[name] {
			return name
		}
	}
	return list[len(list)-1]
}

// names are the IDs that the incident which an alert opens may get, the best first: the name that it gives by a label or an
// annotation, else one of the local date and a hash. A hash is added to a name that is in use.
func names(cfg Config, e reporter.AlertEvent, key string) []string {
	sum := sha256.Sum256([]byte(key + "\x00" + e.Cluster + "\x00" + e.Fingerprint + "\x00" + e.StartsAt.UTC().Format(time.RFC3339Nano)))
	hash := base32.StdEncoding.EncodeToString(sum[:])
	made := "INC-" + e.StartsAt.In(cfg.zone()).Format("20060102") + "-" + hash[:6]
	out := []string{made}
	if given := reporter.IncidentID(givenName(cfg, e)); given != "" {
		made = given + "-" + hash[:6]
		out = []string{given, made}
	}
	return append(out, made+"-"+hash[6:12], made+"-"+hash[6:26])
}

// givenName is the name that the alert gives to its incident, as it is.
func givenName(cfg Config, e reporter.AlertEvent) string {
	if cfg.IDLabel == "" {
		return ""
	}
	return cmp.Or(e.Labels[cfg.IDLabel], e.Annotations[cfg.IDLabel])
}

package webhook

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// Limits bound what is kept of a webhook. What exceeds a limit of one alert is cut; alerts beyond a limit of the webhook are
// counted as truncated. Lengths are in bytes; zero fields have the defaults of DefaultLimits.
type Limits struct {
	Alerts          int // of one webhook
	Labels          int // of one alert; alertname, severity and Keep are kept in any case
	Annotations     int // of one alert
	LabelBytes      int // of the value of a label
	AnnotationBytes int // of the value of an annotation
	URLBytes        int // of a generatorURL and of other links

	Keep []string // names of labels and annotations that are kept beyond Labels and Annotations
}

// DefaultLimits are far above what a real alert has.
var DefaultLimits = Limits{Alerts: 20_000, Labels: 64, Annotations: 64, LabelBytes: 2 << 10, AnnotationBytes: 8 << 10, URLBytes: 8 << 10}

const (
	// nameBytes bounds the name of a label or an annotation, and keyBytes what identifies a group, a receiver or an alert:
	// longer ones are cut and end in a hash, so that they stay distinct.
	nameBytes = 256
	keyBytes  = 2 << 10
	// maxDepth is how deep the JSON may be nested. Alertmanager's and Grafana's payloads are 5 deep.
	maxDepth = 64
	// keptBytes bounds the memory that the alerts of one webhook take, as counted by alertWeight; alerts beyond it are truncated.
	keptBytes = 32 << 20
	// alertOverhead and pairOverhead are about what Go needs for an alert, and for an entry of a map, beside the text.
	alertOverhead = 512
	pairOverhead  = 96
)

func (l Limits) withDefaults() Limits {
	d := DefaultLimits
	l.Alerts, l.Labels, l.Annotations = cmp.Or(l.Alerts, d.Alerts), cmp.Or(l.Labels, d.Labels), cmp.Or(l.Annotations, d.Annotations)
	l.LabelBytes, l.AnnotationBytes = cmp.Or(l.LabelBytes, d.LabelBytes), cmp.Or(l.AnnotationBytes, d.AnnotationBytes)
	l.URLBytes = cmp.Or(l.URLBytes, d.URLBytes)
	return l
}

const ellipsis = "…"

// clip returns at most limit bytes of s, cut between characters and marked, and without NUL, which PostgreSQL's text does not
// take. The result shares no memory with a longer s.
func clip(s string, limit int) string {
	if len(s) > limit {
		end := max(limit-len(ellipsis), 0)
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end] + ellipsis
	}
	return strings.ReplaceAll(s, "\x00", "\ufffd")
}

// identify is clip for what identifies something: a text that is cut ends in a hash of the whole.
func identify(s string, limit int) string {
	if len(s) <= limit {
		return clip(s, limit)
	}
	sum := sha256.Sum256([]byte(s))
	hash := hex.EncodeToString(sum[:16])
	return clip(s, limit-len(hash)) + hash
}

// alertWeight estimates the memory that a kept alert takes.
func alertWeight(a alert) (bytes int) {
	for _, m := range []map[string]string{a.Labels, a.Annotations} {
		for k, v := range m {
			bytes += len(k) + len(v) + pairOverhead
		}
	}
	return bytes + alertOverhead + len(a.Fingerprint) + len(a.GeneratorURL) + len(a.silenceURL) + len(a.dashboardURL) + len(a.panelURL)
}

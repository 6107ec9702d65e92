package web

import (
	"context"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Status returns the states of the program's parts. Its texts never contain a secret.
type Status interface {
	// Parts returns the states of the parts. It queries those that can be queried, within a few seconds.
	Parts(ctx context.Context) Parts
	// Reports lists the configured reports.
	Reports() []Plan
	// Receivers lists the configured receivers.
	Receivers() []Receiver
}

// Plan is the schedule of a report.
type Plan struct {
	Name      string
	Schedule  string    // crontab(5)
	Zone      string    // IANA name
	Next      time.Time // next due time; zero: none within five years
	Receivers []string
}

// Receiver is a configured receiver. Kind is the kind of its channel, such as "telegram".
type Receiver struct{ Name, Kind string }

// Parts holds the states of the program's parts.
type Parts struct {
	Collector    bool // this process has a collector
	Queries      []Query
	Figures      Figures
	Clusters     []Cluster // those with a configured API
	Compared     time.Time // time of the last reconciliation
	CompareFault string    // why the last reconciliation failed; "" if it did not
	LastWebhook  time.Time
	Open         int // number of open incidents
	Heartbeats   []reporter.Heartbeat
	// HeartbeatRoutes are the names of the routes with heartbeat.
	HeartbeatRoutes []string
	Pending         map[string]int           // deliveries by receiver
	Oldest          time.Time                // since when the first of the pending ones that are due waits
	Suspended       map[string]reporter.Gate // by receiver, of those that are suspended
	Fault           string                   // why the state could not be read
	NotPolled       map[string]string        // accounts whose chats cannot be listened to, with the reason
	// Verified holds the results of checks without a message, by receiver. A receiver that is missing was not checked yet.
	Verified map[string]Verification
}

// Cluster is a cluster with a configured API, and the result of its last request. It is asked while it has open incidents.
type Cluster struct {
	Name    string
	Members []string  // addresses without credentials
	Asked   time.Time // zero: not since the start
	Fault   string    // why no member's answer can be used; "" if one can
}

// Verification is the result of checking a receiver without sending a message.
type Verification struct {
	At    time.Time
	Fault string // why it does not work; "" if it does
}

// Query is a query of the collector with its last result.
type Query struct {
	Source, Kind, Name string
	At                 time.Time // zero: not run yet
	LastSuccess        time.Time
	Duration           time.Duration
	Dropped            int    // series beyond the limit
	Up                 bool   // the source answered any query of that run
	Fault              string // "" after success
}

// Figures describes the server of the reports' figures.
type Figures struct {
	Embedded bool
	URL      string        // without credentials; "" with Embedded, or without a server
	Newest   time.Time     // time of the collector's newest sample; zero: none
	Took     time.Duration // of the query
	Fault    string        // "" if it answered
}

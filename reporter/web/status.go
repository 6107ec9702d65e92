package web

import (
	"context"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Status says how the parts of the program are. No text of it holds a secret.
type Status interface {
	// Parts asks those that can be asked, in a few seconds at most.
	Parts(ctx context.Context) Parts
	// Reports lists the configured reports.
	Reports() []Plan
	// Receivers lists the configured receivers.
	Receivers() []Receiver
}

// Plan is when a report is due.
type Plan struct {
	Name      string
	Schedule  string // crontab(5)
	Zone      string
	Next      time.Time // zero: not within five years
	Receivers []string
}

// Receiver is who messages are sent to; Kind is "telegram" or "terminal".
type Receiver struct{ Name, Kind string }

// Parts is how the parts are.
type Parts struct {
	Collector    bool // whether this process has one
	Queries      []Query
	Figures      Figures
	Clusters     []Cluster // of Alertmanagers whose API is configured
	Compared     time.Time // when the open incidents were last compared with them
	CompareFault string    // why that failed
	LastWebhook  time.Time
	Open         int // incidents
	Heartbeats   []reporter.Heartbeat
	// HeartbeatRoutes are the names of the configured ones.
	HeartbeatRoutes []string
	Pending         map[string]int           // deliveries by receiver
	Oldest          time.Time                // since when the first of the pending ones that are due waits
	Suspended       map[string]reporter.Gate // by receiver, of those that are suspended
	Fault           string                   // why the state could not be read
	NotPolled       map[string]string        // accounts whose chats cannot be listened to, with the reason
	// Verified are receivers that were asked whether they work; one that is missing has not been asked yet.
	Verified map[string]Verification
}

// Cluster is one of Alertmanagers, and what its API answered last. It is asked while it has open incidents.
type Cluster struct {
	Name    string
	Members []string  // addresses without credentials
	Asked   time.Time // zero: not since the start
	Fault   string    // why no member's answer can be used
}

// Verification is what a receiver said when it was asked without a message to send.
type Verification struct {
	At    time.Time
	Fault string // why it cannot work
}

// Query is the last outcome of one of the collector's queries.
type Query struct {
	Source, Kind, Name string
	At                 time.Time // zero: not asked yet
	LastSuccess        time.Time
	Duration           time.Duration
	Dropped            int
	Up                 bool // whether the source answered any query of that run
	Fault              string
}

// Figures is where the reports' figures are read.
type Figures struct {
	Embedded bool
	URL      string    // without credentials; "" with Embedded, or where there is nothing to read
	Newest   time.Time // of the samples of our collector; zero: no samples
	Took     time.Duration
	Fault    string
}

package localstack

import (
	"context"
	"path/filepath"
)

// AlertmanagerOptions configures an Alertmanager.
type AlertmanagerOptions struct {
	Dir    string // configuration and data; "" means a new directory that Stop removes
	Config string // content of alertmanager.yml; "" means one receiver that does nothing
}

// Alertmanager is a real Alertmanager, not clustered, on a free loopback port.
type Alertmanager struct{ server *toolServer }

const silentAlertmanager = "route:\n  receiver: none\nreceivers:\n  - name: none\n"

// StartAlertmanager starts an Alertmanager and waits until it is ready. It runs until Stop, or until ctx ends.
func StartAlertmanager(ctx context.Context, o AlertmanagerOptions) (*Alertmanager, error) {
	// Debian calls the program prometheus-alertmanager.
	bin, err := findProgram("ALERTMANAGER_BIN", "alertmanager", "prometheus-alertmanager")
	if err != nil {
		return nil, err
	}
	dir, remove, err := toolDir(o.Dir, "alertmanager")
	if err != nil {
		return nil, err
	}
	if o.Config == "" {
		o.Config = silentAlertmanager
	}
	s, err := startTool(ctx, toolSpec{
		name: "alertmanager", bin: bin, dir: dir, remove: remove,
		files: map[string]string{"alertmanager.yml": o.Config},
		args: func(addr string) []string {
			return []string{
				"--config.file=" + filepath.Join(dir, "alertmanager.yml"),
				"--storage.path=" + filepath.Join(dir, "data"),
				"--cluster.listen-address=",
				"--web.listen-address=" + addr,
			}
		},
	})
	if err != nil {
		return nil, err
	}
	return &Alertmanager{server: s}, nil
}

// URL is the address of the server, without a slash at its end.
func (a *Alertmanager) URL() string { return a.server.url }

// Stop ends the server and waits for its end. A second call does nothing.
func (a *Alertmanager) Stop() error { return a.server.stop() }

package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/silence"
)

// The operations by which a person acts on an incident.
var (
	incidentAcknowledge = operation[IncidentAction, Acknowledged]{"incident-acknowledge", (*toolbox).acknowledge}
	incidentRelease     = operation[IncidentAction, Acknowledged]{"incident-release", (*toolbox).release}
	incidentNote        = operation[IncidentAction, struct{}]{"incident-note", (*toolbox).note}
	incidentSilence     = operation[IncidentAction, struct{}]{"incident-silence", (*toolbox).silence}
	incidentUnsilence   = operation[IncidentAction, struct{}]{"incident-unsilence", (*toolbox).unsilence}
)

// IncidentAction is what a person does to an incident on the command line.
type IncidentAction struct {
	ID     string
	Person string        // name of who acts
	Text   string        // of a note
	For    time.Duration // of a silence
}

func (a IncidentAction) person() reporter.Person {
	return reporter.Person{Kind: reporter.AuthorCommand, Name: a.Person}
}

// Acknowledged is what became of an acknowledgement or a release.
type Acknowledged struct {
	Changed bool           // false where it was so before
	By      reporter.Entry // the acknowledgement or release that stands now; its ID is 0 where there was never one
}

// Acknowledge says that a person takes care of an incident. reporter.ErrNotFound: there is no incident of that id.
func (t *Tools) Acknowledge(ctx context.Context, a IncidentAction) (Acknowledged, error) {
	return incidentAcknowledge.run(ctx, t, a)
}

// Release takes back the acknowledgement of an incident. reporter.ErrNotFound: there is no incident of that id.
func (t *Tools) Release(ctx context.Context, a IncidentAction) (Acknowledged, error) {
	return incidentRelease.run(ctx, t, a)
}

// Note adds a note to an incident. reporter.ErrNotFound: there is no incident of that id.
func (t *Tools) Note(ctx context.Context, a IncidentAction) error {
	_, err := incidentNote.run(ctx, t, a)
	return err
}

// Silence asks for a silence of an incident's alerts, which the running program, or the next one, creates. reporter.ErrNotFound: there is
// no incident of that id, or its cluster takes no silences.
func (t *Tools) Silence(ctx context.Context, a IncidentAction) error {
	_, err := incidentSilence.run(ctx, t, a)
	return err
}

// Unsilence ends the silences of an incident that people made here. reporter.ErrNotFound: there is no incident of that id.
func (t *Tools) Unsilence(ctx context.Context, a IncidentAction) error {
	_, err := incidentUnsilence.run(ctx, t, a)
	return err
}

// silencer stores what is asked for; the program that runs asks the clusters.
func (b *toolbox) silencer() *silence.Silencer {
	clusters := map[string]silence.Cluster{}
	for _, a := range b.reading().cfg.Alertmanagers {
		if a.Silences {
			clusters[cmp.Or(a.Name, reporter.ClusterDefault)] = nil
		}
	}
	return silence.New(silence.Config{Clusters: clusters}, b.store, b.store, b.log)
}

func (b *toolbox) silence(ctx context.Context, a IncidentAction) (struct{}, error) {
	err := b.silencer().Request(ctx, a.ID, a.person(), a.For)
	if err == nil {
		b.log.Info("silence of incident requested by a command", "incident", a.ID, "user", a.Person, "for", a.For)
	}
	return struct{}{}, err
}

func (b *toolbox) unsilence(ctx context.Context, a IncidentAction) (struct{}, error) {
	err := b.silencer().End(ctx, a.ID, a.person())
	if err == nil {
		b.log.Info("end of silences of incident requested by a command", "incident", a.ID, "user", a.Person)
	}
	return struct{}{}, err
}

func (b *toolbox) acknowledge(ctx context.Context, a IncidentAction) (Acknowledged, error) {
	by, changed, err := b.store.Acknowledge(ctx, a.ID, a.person(), reporter.MessageRef{})
	return b.acted(a, "acknowledged", by, changed, err)
}

func (b *toolbox) release(ctx context.Context, a IncidentAction) (Acknowledged, error) {
	by, changed, err := b.store.Release(ctx, a.ID, a.person(), reporter.MessageRef{})
	return b.acted(a, "released", by, changed, err)
}

func (b *toolbox) acted(a IncidentAction, what string, by reporter.Entry, changed bool, err error) (Acknowledged, error) {
	if err != nil {
		return Acknowledged{}, err
	}
	if changed {
		b.log.Info("incident "+what+" by a command", "incident", a.ID, "user", by.Author)
	}
	return Acknowledged{Changed: changed, By: by}, nil
}

func (b *toolbox) note(ctx context.Context, a IncidentAction) (struct{}, error) {
	if reporter.EntryNote.Tidy(a.Text) == "" {
		return struct{}{}, errors.New("the note has no text")
	}
	_, err := b.store.Write(ctx, reporter.Entry{
		Incident: a.ID, Kind: reporter.EntryNote, Text: a.Text, AuthorKind: reporter.AuthorCommand, Author: a.Person,
		WrittenAt: b.store.Now().UTC(),
	})
	if err != nil {
		return struct{}{}, fmt.Errorf("note: %w", err)
	}
	b.log.Info("note written by a command", "incident", a.ID, "user", a.Person)
	return struct{}{}, nil
}

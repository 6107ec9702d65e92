package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/silence"
)

// The operations of a person on an incident.
var (
	incidentAcknowledge = operation[IncidentAction, acknowledgeResult]{"incident-acknowledge", (*toolbox).acknowledge}
	incidentRelease     = operation[IncidentAction, acknowledgeResult]{"incident-release", (*toolbox).release}
	incidentNote        = operation[IncidentAction, struct{}]{"incident-note", (*toolbox).note}
	incidentSilence     = operation[IncidentAction, struct{}]{"incident-silence", (*toolbox).silence}
	incidentUnsilence   = operation[IncidentAction, struct{}]{"incident-unsilence", (*toolbox).unsilence}
)

// IncidentAction is what a person does to an incident on the command line.
type IncidentAction struct {
	ID     string
	Person string        // the name of the person who acts
	Text   string        // of a note
	For    time.Duration // of a silence
}

func (a IncidentAction) person() reporter.Person {
	return reporter.Person{Kind: reporter.AuthorCommand, Name: a.Person}
}

// acknowledgeResult is the result of an acknowledgement or a release.
type acknowledgeResult struct {
	Changed bool           // false if the incident was acknowledged, or released, before
	By      reporter.Entry // the latest acknowledgement or release; its ID is 0 if there was never one
}

// The actions return their result as a line of text. reporter.ErrNotFound: there is no incident of that id.

// Acknowledge acknowledges an incident: the person takes care of it.
func (t *Tools) Acknowledge(ctx context.Context, a IncidentAction) (string, error) {
	done, err := incidentAcknowledge.run(ctx, t, a)
	if err != nil {
		return "", err
	}
	text := "incident %s is acknowledged by %s\n"
	if !done.Changed {
		text = "incident %s was already acknowledged by %s\n"
	}
	return fmt.Sprintf(text, cell(a.ID), t.by(done.By)), nil
}

// Release takes back the acknowledgement of an incident.
func (t *Tools) Release(ctx context.Context, a IncidentAction) (string, error) {
	done, err := incidentRelease.run(ctx, t, a)
	switch {
	case err != nil:
		return "", err
	case done.Changed:
		return fmt.Sprintf("incident %s is released by %s\n", cell(a.ID), t.by(done.By)), nil
	case done.By.ID != 0:
		return fmt.Sprintf("incident %s was already released by %s\n", cell(a.ID), t.by(done.By)), nil
	}
	return fmt.Sprintf("incident %s was not acknowledged\n", cell(a.ID)), nil
}

// by returns the author of an entry and its time.
func (t *Tools) by(e reporter.Entry) string { return cell(e.Author) + " at " + t.local(e.WrittenAt) }

// Note adds a note to an incident.
func (t *Tools) Note(ctx context.Context, a IncidentAction) (string, error) {
	_, err := incidentNote.run(ctx, t, a)
	return fmt.Sprintf("note added to incident %s\n", cell(a.ID)), err
}

// Silence stores a request for a silence of an incident's alerts; the running process, or the next one to start, creates it in
// Alertmanager. It is an error if the incident's cluster does not have silences: true.
func (t *Tools) Silence(ctx context.Context, a IncidentAction) (string, error) {
	_, err := incidentSilence.run(ctx, t, a)
	return fmt.Sprintf("silence of incident %s for %s requested by %s\n", cell(a.ID), a.For, cell(a.Person)), err
}

// Unsilence stores a request to end the silences of an incident that were requested by Silence, on a page or in a chat.
func (t *Tools) Unsilence(ctx context.Context, a IncidentAction) (string, error) {
	_, err := incidentUnsilence.run(ctx, t, a)
	return fmt.Sprintf("end of the silences of incident %s requested by %s\n", cell(a.ID), cell(a.Person)), err
}

// silencer only stores requests, so its clusters have no API; the running process sends them.
func (b *toolbox) silencer() *silence.Silencer {
	clusters := map[string]silence.Cluster{}
	for _, a := range b.content().cfg.Alertmanagers {
		if a.Silences {
			clusters[a.Cluster()] = nil
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

func (b *toolbox) acknowledge(ctx context.Context, a IncidentAction) (acknowledgeResult, error) {
	by, changed, err := b.store.Acknowledge(ctx, a.ID, a.person(), reporter.MessageRef{})
	return b.acted(a, "acknowledged", by, changed, err)
}

func (b *toolbox) release(ctx context.Context, a IncidentAction) (acknowledgeResult, error) {
	by, changed, err := b.store.Release(ctx, a.ID, a.person(), reporter.MessageRef{})
	return b.acted(a, "released", by, changed, err)
}

func (b *toolbox) acted(a IncidentAction, what string, by reporter.Entry, changed bool, err error) (acknowledgeResult, error) {
	if err != nil {
		return acknowledgeResult{}, err
	}
	if changed {
		b.log.Info("incident "+what+" by a command", "incident", a.ID, "user", by.Author)
	}
	return acknowledgeResult{Changed: changed, By: by}, nil
}

func (b *toolbox) note(ctx context.Context, a IncidentAction) (struct{}, error) {
	if reporter.EntryNote.Tidy(a.Text) == "" {
		return struct{}{}, errors.New("the note has no text: write it behind the incident's id")
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

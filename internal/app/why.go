package app

import (
	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// why says in the configuration's language why a delivery was not sent, or waits, with what was answered in brackets; "" for one
// that is on its way or arrived.
func (t *Tools) why(d reporter.Delivery) (string, error) {
	if d.State == reporter.DeliverySent || d.State == reporter.DeliveryMerged {
		return "", nil
	}
	bundle, err := i18n.New()
	if err != nil {
		return "", err
	}
	words, err := bundle.Words(t.cfg.Locale, i18n.Pages)
	if err != nil {
		return "", err
	}
	why := words.Why(string(d.Reason), d.LastError)
	switch {
	case why == "":
		return d.LastError, nil
	case d.LastError != "":
		why += " (" + d.LastError + ")"
	}
	return why, nil
}

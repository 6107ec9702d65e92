package render

import (
	"net/url"
	"slices"

	"github.com/awoooi/awoooi-reporter/internal/markup"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// Link is an address with the word for its kind. A template must show one that is not Clickable as text.
type Link struct {
	Word      string
	URL       string
	Clickable bool
	Button    bool // the message has a button for it
}

// buttonKinds are the kinds of links that get a button. Those to the origin of the alerts are left in the text.
var buttonKinds = []string{"page", "runbook", "dashboard", "report", "list", "delivery", "heartbeats"}

// buttons returns the buttons of the first buttonsMax links that may have one, and clears Button of all other links.
func buttons(links []Link) []reporter.Button {
	var out []reporter.Button
	for n, link := range links {
		if links[n].Button = link.Button && len(out) < buttonsMax; links[n].Button {
			out = append(out, reporter.Button{Text: link.Word, URL: link.URL})
		}
	}
	return out
}

// button returns the button of one link, which may be nil.
func button(link *Link) []reporter.Button {
	if link == nil {
		return nil
	}
	return buttons([]Link{*link})
}

func pageLink(l language, kind, address string) *Link {
	if link, ok := newLink(l, reporter.Link{Kind: kind, URL: address}); ok {
		return &link
	}
	return nil
}

// newLink returns the view of a link, and false if its URL cannot be parsed or is too long. The link is clickable only if chats
// accept the address: Telegram drops links to hosts without a dot. User and password are removed from the URL.
func newLink(l language, link reporter.Link) (Link, bool) {
	address := clean(link.URL)
	if address == "" || len(address) > urlMax {
		return Link{}, false
	}
	word, err := l.Lookup("link_" + link.Kind)
	if err != nil {
		word = cut(clean(link.Kind), shortMax)
	}
	u, err := url.Parse(address)
	if err != nil {
		return Link{}, false
	}
	if u.User != nil {
		u.User = nil
		address = u.String()
	}
	clickable := markup.Linkable(address)
	return Link{Word: word, URL: address, Clickable: clickable, Button: clickable && slices.Contains(buttonKinds, link.Kind)}, true
}

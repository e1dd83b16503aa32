package notify

import (
	"embed"
	"fmt"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"

	"onsale"
)

//go:embed letters/*.tmpl
var letterFiles embed.FS

var (
	textLetter = texttemplate.Must(texttemplate.ParseFS(letterFiles, "letters/letter.txt.tmpl"))
	htmlLetter = htmltemplate.Must(htmltemplate.ParseFS(letterFiles, "letters/letter.html.tmpl"))
)

// letter is a mail's words.
type letter struct{ subject, text, html string }

// letterFields are what the templates are filled with.
type letterFields struct {
	Subject, Head string
	Says          []string // paragraphs
	Event, When   string
	Venue         string
	Lines         []string
	Amount        string
	Order         onsale.OrderID
	Link          string // "" for none
	LinkText      string
}

// newLetter writes the mail about a delivery's news. event may be nil: it is then called
// by its id.
func newLetter(d onsale.Delivery, event *onsale.Event, publicURL string) (letter, error) {
	f := letterFields{Event: string(d.Event), Order: d.Order, Amount: money(d.Amount, d.Currency)}
	names := map[string]string{}
	if event != nil {
		f.Event, f.Venue = oneLine(event.Name), oneLine(event.Venue)
		f.When = event.StartsAt.UTC().Format("Monday, 2 January 2006, 15:04") + " UTC"
		for _, s := range event.Sections {
			names[s.ID] = oneLine(s.Name)
		}
	}
	for _, line := range d.Lines {
		f.Lines = append(f.Lines, lineText(line, names))
	}
	f.word(d)
	if publicURL != "" {
		f.Link = publicURL + "/#/orders"
	}
	var text, html strings.Builder
	if err := textLetter.Execute(&text, f); err != nil {
		return letter{}, err
	}
	if err := htmlLetter.Execute(&html, f); err != nil {
		return letter{}, err
	}
	return letter{f.Subject, text.String(), html.String()}, nil
}

// word says in plain words what the order came to.
func (f *letterFields) word(d onsale.Delivery) {
	f.LinkText = "Your orders"
	switch d.Told {
	case onsale.OrderTicketed:
		f.Subject, f.Head, f.LinkText = "Your tickets for "+f.Event, "You have your tickets", "Your tickets"
		f.Says = []string{"Your payment was accepted, and the tickets are yours."}
	case onsale.OrderDeclined:
		f.Subject, f.Head = "Your payment for "+f.Event+" was not accepted", "Your payment was not accepted"
		f.Says = []string{"So the order was cancelled, and the tickets went back on sale. You have nothing to pay; should anything have been taken, you get it back."}
	case onsale.OrderRejected:
		f.Subject, f.Head = "Your order for "+f.Event+" could not be fulfilled", "Your order could not be fulfilled"
		f.Says = []string{"The tickets were gone before your order could be settled. Nothing was charged. We are sorry."}
	case onsale.OrderRefunded:
		f.Subject, f.Head = "Your order for "+f.Event+" was refunded", "Your order was refunded"
		f.Says = []string{"The whole amount goes back to you the way you paid it, which can take some days. The tickets are no longer valid."}
	}
}

// lineText is an order's line: "2 × Floor", or "Stalls: A-1, A-2".
func lineText(line onsale.Line, names map[string]string) string {
	name := names[line.Section]
	if name == "" {
		name = line.Section
	}
	if len(line.Seats) > 0 {
		return name + ": " + strings.Join(line.Seats, ", ")
	}
	return fmt.Sprintf("%d × %s", line.Quantity, name)
}

// oneLine makes one line of a text that an operator wrote.
func oneLine(text string) string { return strings.Join(strings.Fields(tidy(text)), " ") }

// minorDigits are how many digits of a currency are after its point, where they aren't
// two. Source: ISO 4217.
var minorDigits = map[string]int{
	"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0, "VND": 0,
	"VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0, "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
}

// money writes an amount of minor units, as "50.00 EUR".
func money(amount int64, currency string) string {
	digits, ok := minorDigits[currency]
	if !ok {
		digits = 2
	}
	if digits == 0 {
		return fmt.Sprintf("%d %s", amount, currency)
	}
	unit := int64(1)
	for range digits {
		unit *= 10
	}
	return fmt.Sprintf("%d.%0*d %s", amount/unit, digits, amount%unit, currency)
}

package tickets

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"

	"onsale"
)

// The page is an A5, which fits every printer's paper. All lengths are in millimetres,
// sizes of type in points.
const (
	pageWidth  = 148.0
	margin     = 14.0
	textWidth  = pageWidth - 2*margin
	qrSide     = 92.0
	qrTop      = 82.0
	titleSize  = 19.0
	placeSize  = 15.0
	textSize   = 10.5
	smallSize  = 7.5
	lineHeight = 0.48 // of a line, in millimetres a point
	titleLines = 2    // at the most; a longer name is cut
)

// PDF returns tickets of one event to print, a page each, in the order given: the event,
// its venue and time, the section and the seat, the code as QR, and the ticket's id.
// Each must have its code.
func PDF(e *onsale.Event, tickets []onsale.Ticket) ([]byte, error) {
	names := make(map[string]string, len(e.Sections))
	for i := range e.Sections {
		names[e.Sections[i].ID] = e.Sections[i].Name
	}
	d := newDocument(e.Name, latest(tickets))
	for i := range tickets {
		m, err := encode(tickets[i].Code)
		if err != nil {
			return nil, err
		}
		d.page(e, names[tickets[i].Section], &tickets[i], &m)
	}
	var b bytes.Buffer
	if err := d.Output(&b); err != nil {
		return nil, fmt.Errorf("print tickets of %s: %w", e.ID, err)
	}
	return b.Bytes(), nil
}

// latest is when the last of the tickets was issued: the document's date, so that it is
// the same whenever it is printed.
func latest(tickets []onsale.Ticket) (at time.Time) {
	for i := range tickets {
		if tickets[i].IssuedAt.After(at) {
			at = tickets[i].IssuedAt
		}
	}
	return at.UTC()
}

// document is a PDF that is being written from the top of a page down. Its errors are
// kept until Output.
type document struct {
	*fpdf.Fpdf
	y float64 // where the next line begins
}

func newDocument(title string, at time.Time) *document {
	d := &document{Fpdf: fpdf.New("P", "mm", "A5", "")}
	d.SetCatalogSort(true) // else maps decide about the order of what is in it
	d.SetCreationDate(at)
	d.SetModificationDate(at)
	d.SetProducer("Onsale", true)
	d.SetTitle(printable(regular, title), true)
	d.SetAutoPageBreak(false, 0)
	for _, f := range []*typeface{regular, bold} {
		d.AddUTF8FontFromBytes(family, f.style, f.data)
	}
	return d
}

func (d *document) page(e *onsale.Event, section string, t *onsale.Ticket, m *matrix) {
	d.AddPage()
	d.y = margin
	d.text(bold, titleSize, titleLines, e.Name)
	d.text(regular, textSize, 1, e.Venue)
	d.text(regular, textSize, 1, e.StartsAt.UTC().Format("Monday, 2 January 2006, 15:04 UTC"))
	d.y += 4
	if section == "" {
		section = t.Section
	}
	d.text(bold, placeSize, 2, section)
	d.text(regular, placeSize, 1, place(t.Seat))
	d.code(m)
	d.y = qrTop + qrSide + 6
	d.text(regular, smallSize, 1, string(t.ID))
	d.text(regular, smallSize, 1, "Event "+string(e.ID)+", section "+t.Section+", issue "+strconv.Itoa(t.Serial))
	d.text(regular, smallSize, 2, "Admits one, once. Who shows this code first is let in: show it to nobody before. "+
		"Once the ticket is given to someone else or refunded, this page is void.")
}

// text writes a text in lines, so many at the most, and goes on below them.
func (d *document) text(f *typeface, size float64, most int, text string) {
	text = printable(f, text)
	if text == "" {
		return
	}
	d.SetFont(family, f.style, size)
	lines := d.SplitText(text, textWidth)
	if len(lines) > most {
		lines = lines[:most]
		lines[most-1] = strings.TrimSpace(lines[most-1]) + "…"
	}
	for _, line := range lines {
		d.SetXY(margin, d.y)
		d.CellFormat(textWidth, size*lineHeight, line, "", 0, "LM", false, 0, "")
		d.y += size * lineHeight
	}
}

// code draws the QR code as shapes, which stay sharp at any size.
func (d *document) code(m *matrix) {
	module := qrSide / float64(m.side)
	left := (pageWidth - qrSide) / 2
	d.SetFillColor(0, 0, 0)
	for _, r := range m.runs {
		d.Rect(left+float64(r.x)*module, qrTop+float64(r.y)*module, float64(r.length)*module, module, "F")
	}
}

// place is a seat, "ROW-NUMBER", in words.
func place(seat string) string {
	row, number, ok := strings.Cut(seat, "-")
	if !ok {
		return "Any place"
	}
	return "Row " + row + ", seat " + number
}

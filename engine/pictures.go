package engine

// Pictures of tickets. Drawing takes milliseconds of a processor that the sale needs, so
// few are drawn at once, and none for who has it already: what is on a picture is
// known without drawing it, and so is its ETag.

import (
	"context"
	"runtime"
	"time"

	"github.com/valyala/fasthttp"

	"onsale"
	"onsale/tickets"
)

const (
	// drawnPrivately lets the owner's browser keep a picture if it asks each time whether
	// it still holds, and nobody between.
	drawnPrivately = "private, no-cache"
	// drawing is part of each picture's ETag: raise it when they look different.
	drawing = "1"
	// drawPatience is how long a picture waits for its turn.
	drawPatience = 2 * time.Second
)

// easels are what pictures are drawn at: half of the processors are left to the sale.
var easels = make(chan struct{}, max(1, runtime.NumCPU()/2))

func (s *Shop) getTicketSVG(r *request) error {
	return s.drawCode(r, "image/svg+xml", tickets.SVG)
}

func (s *Shop) getTicketPNG(r *request) error {
	return s.drawCode(r, "image/png", tickets.PNG)
}

func (s *Shop) drawCode(r *request, contentType string, draw func(code string) ([]byte, error)) error {
	ticket, err := s.usableTicket(r)
	if err != nil {
		return err
	}
	return r.picture(contentType, ticket.Code, func() ([]byte, error) { return draw(ticket.Code) })
}

func (s *Shop) getTicketPDF(r *request) error {
	ticket, err := s.usableTicket(r)
	if err != nil {
		return err
	}
	return s.print(r, ticket.Event, []onsale.Ticket{*ticket})
}

// printTickets prints those tickets of an order that are still the buyer's, and not void.
func (s *Shop) printTickets(r *request) error {
	order, err := s.order(r)
	if err != nil {
		return err
	}
	list, err := s.Store.Tickets(r.context(), order.ID)
	if err != nil {
		return err
	}
	var own []onsale.Ticket
	for i := range list {
		if list[i].Owner == r.buyer && list[i].State != onsale.TicketVoid {
			own = append(own, list[i])
		}
	}
	if len(own) == 0 {
		return onsale.Refuse(onsale.CodeUnknownTicket, "the order has no tickets of yours to print: not yet, or not any more")
	}
	return s.print(r, order.Event, own)
}

// usableTicket is one of the buyer's, which has a code to show.
func (s *Shop) usableTicket(r *request) (*onsale.Ticket, error) {
	ticket, err := s.Store.Ticket(r.context(), onsale.TicketID(r.param), r.buyer)
	if err == nil && ticket.State == onsale.TicketVoid {
		err = ticket.CheckUse()
	}
	return ticket, err
}

func (s *Shop) print(r *request, event onsale.EventID, list []onsale.Ticket) error {
	l, err := s.Store.Layout(r.context(), event) // an event never changes, so its tickets needn't name its version
	if err != nil {
		return err
	}
	codes := ""
	for i := range list {
		codes += list[i].Code + " "
	}
	r.ctx.Response.Header.Set(fasthttp.HeaderContentDisposition, `inline; filename="tickets-`+string(event)+`.pdf"`)
	return r.picture("application/pdf", codes, func() ([]byte, error) { return tickets.PDF(l.Event, list) })
}

// picture answers with what draw returns, or 304 to who has it. what must tell apart all
// pictures of one address.
func (r *request) picture(contentType, what string, draw func() ([]byte, error)) error {
	r.ctx.Response.Header.Set(fasthttp.HeaderCacheControl, drawnPrivately)
	if unchanged(r.ctx, entityTag([]byte(drawing+" "+what))) {
		return nil
	}
	body, err := atEasel(r.context(), draw)
	if err != nil {
		return err
	}
	r.ctx.Response.Header.Set("X-Content-Type-Options", "nosniff")
	r.ctx.SetContentType(contentType)
	r.ctx.SetBody(body)
	return nil
}

// atEasel draws when there is room for it.
func atEasel(ctx context.Context, draw func() ([]byte, error)) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, drawPatience)
	defer cancel()
	select {
	case easels <- struct{}{}:
	case <-ctx.Done():
		return nil, onsale.Busy(onsale.CodeOverloaded, "too many tickets are being drawn; try again", drawPatience, ctx.Err())
	}
	defer func() { <-easels }()
	return draw()
}

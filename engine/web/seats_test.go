package web_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"onsale"
)

// openMap opens a stand's map, and waits until it is drawn.
func openMap(t *testing.T, o *office, section string) *tab {
	t.Helper()
	p := openEvent(t, o)
	showMap(p, section)
	return p
}

func showMap(p *tab, section string) {
	p.t.Helper()
	p.eval(fmt.Sprintf("document.querySelector('[data-section=%s] .toggle').click()", section))
	p.eventually("the map is drawn", fmt.Sprintf("document.querySelector('[data-section=%s] .map canvas')?.width > 300", section))
}

// choose picks a seat from the lists, as a keyboard does.
func choose(p *tab, section, row string, seat int) {
	p.t.Helper()
	p.eval(fmt.Sprintf(`{
		const [rows, seats] = document.querySelectorAll('[data-section=%s] .seat-list select');
		rows.value = %q;
		rows.dispatchEvent(new Event('change'));
		seats.value = '%s-%d';
		seats.form.requestSubmit();
	}`, section, row, row, seat))
}

// colourAt is the canvas's colour at a point of its own, as "r,g,b,a".
func colourAt(p *tab, x, y float64) string {
	return value[string](p, fmt.Sprintf(`new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => {
		const canvas = document.querySelector('.map canvas');
		resolve([...canvas.getContext('2d').getImageData(%f * devicePixelRatio, %f * devicePixelRatio, 1, 1).data].join());
	})))`, x, y))
}

// pointOf is where a seat of the north stand is on its canvas, in CSS pixels: 14 rows
// of 32 in the middle, under the stage.
func pointOf(p *tab, row, place int) (x, y float64) {
	size := value[struct{ Width, Cell float64 }](p, `(() => {
		const hall = document.querySelector('.map > div');
		return { width: parseFloat(hall.style.width), cell: (parseFloat(hall.style.height) - 40) / 14 };
	})()`)
	return size.Width/2 + (float64(place)-16+0.5)*size.Cell, 30 + (float64(row)+0.5)*size.Cell
}

// press a point of the canvas with the mouse.
func pressMap(p *tab, x, y float64) {
	p.t.Helper()
	at := value[struct{ Left, Top float64 }](p, `(() => {
		const canvas = document.querySelector('.map canvas');
		canvas.scrollIntoView({ block: 'center' });
		const { left, top } = canvas.getBoundingClientRect();
		return { left, top };
	})()`)
	do(p, "pressing a seat", chromedp.MouseClickXY(at.Left+x, at.Top+y))
}

func TestSeatIsChosenOnTheMapHeldAndSold(t *testing.T) {
	o := newOffice(t, arena())
	o.others(onsale.SeatAvailable, onsale.SeatSold, onsale.Line{Section: "north", Seats: []string{"A-1", "A-2", "A-3", "B-10", "B-11"}})
	o.others(onsale.SeatAvailable, onsale.SeatHeld, onsale.Line{Section: "north", Seats: []string{"C-5", "C-6", "C-7", "C-8", "D-20"}})
	p := openMap(t, o, "north")
	x, y := pointOf(p, 4, 15) // E-16
	free := colourAt(p, x, y)
	pressMap(p, x, y)
	p.shows(".panel", "row E, seat 16")
	if chosen := colourAt(p, x+5, y+5); chosen == free {
		t.Errorf("a chosen seat looks like a free one: %s", chosen)
	}
	x, y = pointOf(p, 4, 16)
	pressMap(p, x, y)
	p.shows(".panel h2", "2 tickets chosen")
	x, y = pointOf(p, 0, 0) // A-1 is sold
	pressMap(p, x, y)
	p.shows(".caption", "sold")
	p.shows(".panel h2", "2 tickets chosen")
	p.shoot("map")
	p.press("Hold 2 tickets")
	p.shows(".panel h2", "Held for you")
	if got := o.view().Sections[1].Seats[4*33+15 : 4*33+17]; got != "hh" {
		t.Errorf("the office has E-16 and E-17 as %q, want hh", got)
	}
	p.prefer("prefers-color-scheme", "dark")
	p.shoot("map-held-dark")
	p.press("Pay €178.00")
	p.shows(".panel h2", "Order accepted")
	o.advance(onsale.OrderClaimed, onsale.OrderPaid, onsale.OrderTicketed)
	p.shows(".tickets", "Row E, seat 17")
	p.shoot("map-ticketed-dark")
}

func TestSeatsOnADenseScreenAreCrispAndWhereTheyArePressed(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	do(p, "a dense screen", chromedp.EmulateViewport(1180, 860, chromedp.EmulateScale(2)))
	showMap(p, "north")
	p.eventually("the canvas has two pixels for each of the page's", "(() => { const c = document.querySelector('.map canvas'); return c.width === 2 * c.clientWidth; })()")
	x, y := pointOf(p, 2, 31)
	pressMap(p, x, y)
	p.shows(".panel", "row C, seat 32")
}

func TestSeatsAreChosenWithoutAMap(t *testing.T) {
	o := newOffice(t, arena())
	o.others(onsale.SeatAvailable, onsale.SeatSold, onsale.Line{Section: "north", Seats: []string{"B-1", "B-2"}})
	p := openMap(t, o, "north")
	p.shows(".seat-list", "Row B (30 left)")
	choose(p, "north", "B", 3)
	p.shows(".panel", "row B, seat 3")
	choose(p, "north", "B", 4)
	p.shows(".panel h2", "2 tickets chosen")
	p.eventually("the list can't choose what is taken or chosen", `[...document.querySelectorAll('.seat-list select')[1].options]
		.filter((o) => o.disabled).map((o) => o.text).join("; ") === "1 (taken); 2 (taken); 3 (chosen); 4 (chosen)"`)
}

func TestTakenSeatIsExplainedAndTheOthersStayChosen(t *testing.T) {
	o := newOffice(t, arena())
	p := openMap(t, o, "north")
	choose(p, "north", "A", 1)
	choose(p, "north", "A", 2)
	p.shows(".panel h2", "2 tickets chosen")
	o.lose(1) // the page doesn't see it coming
	o.others(onsale.SeatAvailable, onsale.SeatHeld, onsale.Line{Section: "north", Seats: []string{"A-2"}})
	p.press("Hold 2 tickets")
	p.shows(".panel .notice", "One of your seats has just been taken")
	p.shows(".panel .notice", "row A, seat 2 in North stand")
	p.shows(".panel h2", "1 ticket chosen")
	p.shows(".lines", "row A, seat 1")
	p.shoot("taken")
	p.press("Hold 1 ticket")
	p.shows(".panel h2", "Held for you")
}

func TestSeatThatOthersTakeMeanwhileIsDroppedAndSaid(t *testing.T) {
	o := newOffice(t, arena())
	p := openMap(t, o, "north")
	choose(p, "north", "A", 1)
	choose(p, "north", "A", 2)
	o.others(onsale.SeatAvailable, onsale.SeatHeld, onsale.Line{Section: "north", Seats: []string{"A-1"}})
	p.shows(".panel .notice", "row A, seat 1")
	p.shows(".panel h2", "1 ticket chosen")
	p.gone(".lines li + li")
}

func TestLargeHallIsDrawnWithinItsWindow(t *testing.T) {
	event := arena()
	event.Sections = []onsale.Section{{ID: "bowl", Name: "Bowl", Kind: onsale.Reserved, Price: 100, Grid: &onsale.Grid{Rows: 400, Seats: 500}}}
	o := newOffice(t, event)
	p := openEvent(t, o)
	p.eventually("the map is drawn", "document.querySelector('.map canvas')?.width > 300")
	p.eventually("the canvas is as large as its window, and the hall larger", `(() => {
		const map = document.querySelector('.map');
		const canvas = map.querySelector('canvas');
		return canvas.clientHeight <= map.clientHeight && map.scrollHeight > 5000 && map.scrollWidth > 5000;
	})()`)
	p.eval("document.querySelector('.map').scrollTo(3000, 2500)")
	pressMap(p, 400, 200)
	p.shows(".panel h2", "1 ticket chosen")
	p.shoot("large-hall")
}

package web_test

import (
	"testing"

	"onsale"
)

// faint finds the texts of the page that don't stand out from their ground by
// 4.5:1, or 3:1 if they are large (WCAG 2.2, 1.4.3; the formula is its definition
// of relative luminance). Disabled controls are exempt there as well.
const faint = `(() => {
	const parse = (colour) => { const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number); return { r, g, b, a }; };
	const over = (top, under) => Object.fromEntries(['r', 'g', 'b'].map((k) => [k, top[k] * top.a + under[k] * (1 - top.a)]).concat([['a', 1]]));
	const luminance = ({ r, g, b }) => { const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
	const ground = (node) => { const colour = parse(getComputedStyle(node).backgroundColor); return colour.a === 1 || !node.parentElement ? { ...colour, a: 1 } : over(colour, ground(node.parentElement)); };
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	const found = [];
	let seen = 0;
	while (texts.nextNode()) {
		const node = texts.currentNode.parentElement;
		if (!texts.currentNode.data.trim() || !node.checkVisibility() || node.closest(':disabled, .unseen')) continue;
		seen++;
		const style = getComputedStyle(node);
		const under = ground(node);
		const [light, dark] = [luminance(over(parse(style.color), under)), luminance(under)].sort((x, y) => y - x);
		const ratio = (light + 0.05) / (dark + 0.05);
		const size = parseFloat(style.fontSize);
		const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
		if (ratio < least) found.push(texts.currentNode.data.trim() + ': ' + ratio.toFixed(2));
	}
	return seen < 8 ? ['only ' + seen + ' texts were found'] : found;
})()`

func TestTextStandsOutInLightAndInDark(t *testing.T) {
	o := newOffice(t, arena())
	p := openMap(t, o, "north")
	look := func(page string) {
		t.Helper()
		for _, scheme := range []string{"light", "dark"} {
			p.prefer("prefers-color-scheme", scheme)
			if found := value[[]string](p, faint); len(found) > 0 {
				t.Errorf("%s in %s has faint texts: %q", page, scheme, found)
			}
			p.shoot("look-" + page + "-" + scheme)
		}
	}
	p.press("One more for Floor")
	choose(p, "north", "A", 1)
	choose(p, "north", "A", 2)
	o.others(onsale.SeatAvailable, onsale.SeatHeld, onsale.Line{Section: "north", Seats: []string{"A-2"}})
	p.shows(".panel .notice", "just been taken")
	look("choosing")
	p.press("Hold 2 tickets")
	p.shows(".panel h2", "Held for you")
	look("held")
	p.press("Pay €134.00")
	p.shows(".panel h2", "Order accepted")
	look("ordered")
	o.setSale(onsale.SalePaused)
	p.shows(".badge", "Paused")
	o.advance(onsale.OrderClaimed, onsale.OrderPaid, onsale.OrderTicketed)
	p.eventually("the tickets are there", "document.querySelectorAll('.ticket').length === 2")
	look("ticketed")
	p.eval("location.hash = '#/'")
	p.shows(".cards", "Midsummer")
	look("events")
}

func TestPagesFitAPhone(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	p.phone()
	reload(p) // the page sees that it is on a phone when it starts
	fits := func(page string) {
		t.Helper()
		p.eventually(page+" is no wider than the phone", "document.scrollingElement.scrollWidth <= innerWidth && innerWidth === 360")
		p.shoot("phone-" + page)
	}
	fits("event")
	showMap(p, "south")
	choose(p, "south", "C", 45)
	p.press("One more for Floor")
	p.eventually("what is chosen is in view", "(() => { const { top, bottom } = document.querySelector('.panel .primary').getBoundingClientRect(); return top > 0 && bottom <= innerHeight; })()")
	fits("chosen")
	p.eval("document.querySelector('.map').scrollIntoView({ block: 'start' })")
	fits("map")
	p.press("Hold 2 tickets")
	p.eventually("what is held is in view", "document.querySelector('.clock')?.getBoundingClientRect().top > 0 && document.querySelector('.clock').getBoundingClientRect().bottom < innerHeight")
	fits("held")
	p.press("Pay €117.50")
	p.shows(".panel h2", "Order accepted")
	o.advance(onsale.OrderClaimed, onsale.OrderPaid, onsale.OrderTicketed)
	p.eventually("the tickets are there", "document.querySelectorAll('.ticket').length === 2")
	fits("ticketed")
	p.eval("location.hash = '#/orders'")
	p.shows(".orders", "You have your tickets")
	fits("orders")
	p.eval("location.hash = '#/'")
	p.shows(".cards", "Midsummer")
	fits("events")
}

func TestReducedMotionMovesNothing(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	p.eventually("something moves", "document.getAnimations().length > 0")
	p.prefer("prefers-reduced-motion", "reduce")
	p.eventually("nothing moves", "document.getAnimations().length === 0")
}

func TestStepsOfAPurchaseAreSaidAloud(t *testing.T) {
	o := newOffice(t, arena())
	p := openMap(t, o, "north")
	choose(p, "north", "A", 1)
	p.shows("#status", "Chosen: row A, seat 1, €89.00.")
	p.press("Hold 1 ticket")
	p.shows("#status", "Held for you")
	p.eventually("whoever goes by the keyboard is led there", "document.activeElement === document.querySelector('.panel h2')")
	p.press("Pay €89.00")
	p.shows("#status", "Order accepted")
	o.advance(onsale.OrderClaimed, onsale.OrderDeclined)
	p.shows("#status", "The payment was declined")
}

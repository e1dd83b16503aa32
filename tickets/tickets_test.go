package tickets

import (
	"bytes"
	"compress/zlib"
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"onsale"
)

var gala = onsale.Event{ID: "gala", Name: "Żółć i Ćma – Ελληνικά, Кириллица", Venue: "Þjóðleikhúsið", StartsAt: time.Date(2027, 6, 5, 20, 0, 0, 0, time.UTC),
	Sections: []onsale.Section{{ID: "stalls", Name: "Stalls, left"}, {ID: "floor", Name: "Floor"}}}

// issued are a seat and a general place, of the same order each time.
func issued() []onsale.Ticket {
	order := onsale.OrderID("ord_gala_1_0123456789abcdefghjkmnpqr0")
	list := []onsale.Ticket{{ID: order.Ticket(1), Order: order, Event: "gala", Section: "stalls", Seat: "A-12", Serial: 1}, {ID: order.Ticket(2), Order: order, Event: "gala", Section: "floor", Serial: 3}}
	for i := range list {
		list[i].IssuedAt = time.Date(2027, 1, 2, 3, 4, 5+i, 0, time.UTC)
		list[i].Sign(onsale.TicketKey([]byte("secret")))
	}
	return list
}

// read is what a scanner makes of a picture.
func read(t *testing.T, picture image.Image) string {
	t.Helper()
	bitmap, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		t.Fatal(err)
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	if err != nil {
		t.Fatalf("no scanner can read it: %v", err)
	}
	return result.GetText()
}

func TestAScannerReadsThePNG(t *testing.T) {
	for _, ticket := range issued() {
		data, err := PNG(ticket.Code)
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, picture); got != ticket.Code {
			t.Errorf("reads %s\nwant  %s", got, ticket.Code)
		}
		if side := picture.Bounds().Dx() / pixelsPerModule; side > 45+2*quietModules {
			t.Errorf("%d modules a side are hard to scan", side)
		}
	}
}

// canvas is where the pictures made of shapes are painted, to be read.
func canvas(side int) *image.Gray {
	c := image.NewGray(image.Rect(0, 0, side, side))
	draw.Draw(c, c.Bounds(), image.White, image.Point{}, draw.Src)
	return c
}

func fill(c *image.Gray, x, y, width, height float64) {
	r := image.Rect(int(x+0.5), int(y+0.5), int(x+width+0.5), int(y+height+0.5))
	draw.Draw(c, r, image.NewUniform(color.Black), image.Point{}, draw.Src)
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAScannerReadsTheSVG(t *testing.T) {
	code := issued()[0].Code
	data, err := SVG(code)
	if err != nil {
		t.Fatal(err)
	}
	var picture struct {
		ViewBox string `xml:"viewBox,attr"`
		Path    struct {
			D string `xml:"d,attr"`
		} `xml:"path"`
	}
	if err := xml.Unmarshal(data, &picture); err != nil {
		t.Fatal(err)
	}
	side := int(number(t, strings.Fields(picture.ViewBox)[2]))
	c := canvas(side * 6)
	for _, shape := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-\d+z`).FindAllStringSubmatch(picture.Path.D, -1) {
		fill(c, 6*number(t, shape[1]), 6*number(t, shape[2]), 6*number(t, shape[3]), 6)
	}
	if got := read(t, c); got != code {
		t.Errorf("reads %s\nwant  %s", got, code)
	}
}

// streams are the unpacked parts of a PDF.
func streams(t *testing.T, pdf []byte) (all []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?s)/FlateDecode[^>]*>>\s*stream\r?\n(.*?)\r?\nendstream`).FindAllSubmatch(pdf, -1) {
		r, err := zlib.NewReader(bytes.NewReader(m[1]))
		if err != nil {
			continue // something else
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	return all
}

// pages are the streams that draw the pages.
func pages(t *testing.T, pdf []byte) (drawn []string) {
	t.Helper()
	for _, s := range streams(t, pdf) {
		if strings.Contains(s, " re f") {
			drawn = append(drawn, s)
		}
	}
	return drawn
}

// written is a text as the PDF has it: UTF-16, with backslashes before brackets.
func written(text string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		for _, c := range []byte{byte(unit >> 8), byte(unit)} {
			if strings.IndexByte(`()\`, c) >= 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(c)
		}
	}
	return strings.ReplaceAll(b.String(), "\r", `\r`)
}

func TestThePDFHasAPageATicketThatAScannerReads(t *testing.T) {
	list := issued()
	pdf, err := PDF(&gala, list)
	if err != nil {
		t.Fatal(err)
	}
	if folder := os.Getenv("ONSALE_TEST_SHOTS"); folder != "" {
		if err := os.WriteFile(folder+"/tickets.pdf", pdf, 0o644); err != nil {
			t.Error(err)
		}
	}
	drawn := pages(t, pdf)
	if len(drawn) != len(list) || bytes.Count(pdf, []byte("/Type /Page\n")) != len(list) {
		t.Fatalf("%d pages are drawn", len(drawn))
	}
	const perPoint = 4
	for i, page := range drawn {
		c := canvas(210 * 3 * perPoint)
		for _, m := range regexp.MustCompile(`([\d.]+) ([\d.]+) ([\d.]+) -([\d.]+) re f`).FindAllStringSubmatch(page, -1) {
			fill(c, perPoint*number(t, m[1]), perPoint*(600-number(t, m[2])), perPoint*number(t, m[3]), perPoint*number(t, m[4]))
		}
		if got := read(t, c); got != list[i].Code {
			t.Errorf("page %d reads %s\nwant %s", i+1, got, list[i].Code)
		}
		for _, text := range []string{"Żółć i Ćma – Ελληνικά,", "Þjóðleikhúsið", "Saturday, 5 June 2027, 20:00 UTC", string(list[i].ID), []string{"Row A, seat 12", "Any place"}[i], []string{"Stalls, left", "Floor"}[i]} {
			if !strings.Contains(page, written(text)) {
				t.Errorf("page %d doesn't say %q", i+1, text)
			}
		}
	}
}

func TestTheSameTicketIsTheSameBytes(t *testing.T) {
	var before [3][]byte
	for i := range 5 {
		list := issued()
		pdf, err1 := PDF(&gala, list)
		svg, err2 := SVG(list[0].Code)
		png, err3 := PNG(list[0].Code)
		if err1 != nil || err2 != nil || err3 != nil {
			t.Fatal(err1, err2, err3)
		}
		now := [3][]byte{pdf, svg, png}
		for k := range now {
			if i > 0 && !bytes.Equal(now[k], before[k]) {
				t.Errorf("picture %d differs the %d. time", k, i+1)
			}
		}
		before = now
	}
}

func TestWhatTheTypefaceLacksIsABox(t *testing.T) {
	for text, want := range map[string]string{
		"Żółć":                   "Żółć",
		"Z\u0307o\u0301łc\u0301": "Żółć", // accents that came by themselves
		"東京 Dome":                "□□ Dome",
		"🎫 a\nb\x00":             "□ a b",
		"Ωμέγα, Щука":            "Ωμέγα, Щука",
		" \t":                    "",
	} {
		for _, f := range []*typeface{regular, bold} {
			if got := printable(f, text); got != want {
				t.Errorf("%q is printed as %q, want %q", text, got, want)
			}
		}
	}
	if _, err := PDF(&onsale.Event{ID: "x", Name: "東京🎫" + strings.Repeat("very long ", 50)}, issued()); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoCodeIsNotDrawn(t *testing.T) {
	for _, code := range []string{"lower case", strings.Repeat("A", 10_000)} {
		_, err1 := SVG(code)
		_, err2 := PNG(code)
		_, err3 := PDF(&gala, []onsale.Ticket{{Code: code}})
		if err1 == nil || err2 == nil || err3 == nil {
			t.Errorf("%.20q was drawn", code)
		}
	}
}

func BenchmarkPDF(b *testing.B) {
	list := issued()
	for b.Loop() {
		if _, err := PDF(&gala, list); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPNG(b *testing.B) {
	code := issued()[0].Code
	for b.Loop() {
		if _, err := PNG(code); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleSVG() {
	picture, err := SVG("ABC")
	fmt.Println(string(picture[:60]), err)
	// Output: <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 29 29"  <nil>
}

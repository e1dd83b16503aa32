// Package tickets draws tickets: the QR code of one as SVG or PNG, and the tickets of an
// order as a PDF to print, a page each. The same tickets are the same bytes. Nothing
// on them says whose they are, and nothing here decides whether they are valid.
package tickets

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strconv"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"
)

const (
	// quietModules is how wide the white border must be for readers to find the code.
	// Source: ISO/IEC 18004, section 6.3.8.
	quietModules = 4
	// pixelsPerModule is the scale of the PNG: about 430 pixels a side.
	pixelsPerModule = 8
)

// run is a row of dark modules that touch: as few shapes as possible make the picture.
type run struct{ x, y, length int }

// matrix is a QR code, with its quiet border.
type matrix struct {
	side int // in modules
	runs []run
}

// encode makes the QR code of a ticket's code. A seventh of it may be unreadable
// (level M): a phone's screen needs no more, and a folded paper has to do with it.
func encode(code string) (matrix, error) {
	symbol, err := qr.Encode(code, qr.M, qr.AlphaNumeric)
	if err != nil {
		return matrix{}, fmt.Errorf("draw a ticket's code: %w", err)
	}
	inner := symbol.Bounds().Dx()
	m := matrix{side: inner + 2*quietModules}
	for y := range inner {
		for x := 0; x < inner; x++ {
			start := x
			for x < inner && dark(symbol, x, y) {
				x++
			}
			if x > start {
				m.runs = append(m.runs, run{start + quietModules, y + quietModules, x - start})
			}
		}
	}
	return m, nil
}

func dark(symbol barcode.Barcode, x, y int) bool { return symbol.At(x, y) == color.Black }

// SVG returns the QR code of a ticket's code as a picture of any size.
func SVG(code string) ([]byte, error) {
	m, err := encode(code)
	if err != nil {
		return nil, err
	}
	side := strconv.Itoa(m.side)
	var b bytes.Buffer
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ` + side + ` ` + side + `" shape-rendering="crispEdges">` +
		`<rect width="` + side + `" height="` + side + `" fill="#fff"/><path d="`)
	for _, r := range m.runs {
		fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", r.x, r.y, r.length, r.length)
	}
	b.WriteString(`"/></svg>`)
	return b.Bytes(), nil
}

// PNG returns the QR code of a ticket's code in black and white, pixelsPerModule a module.
func PNG(code string) ([]byte, error) {
	m, err := encode(code)
	if err != nil {
		return nil, err
	}
	side := m.side * pixelsPerModule
	picture := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for _, r := range m.runs {
		for y := r.y * pixelsPerModule; y < (r.y+1)*pixelsPerModule; y++ {
			for x := r.x * pixelsPerModule; x < (r.x+r.length)*pixelsPerModule; x++ {
				picture.SetColorIndex(x, y, 1)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return nil, fmt.Errorf("draw a ticket's code: %w", err)
	}
	return b.Bytes(), nil
}

package tickets

import (
	"strings"
	"sync"
	"unicode"

	"github.com/go-fonts/dejavu/dejavusanscondensed"
	"github.com/go-fonts/dejavu/dejavusanscondensedbold"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/text/unicode/norm"
)

// The PDF's own fonts know Western European alone, so one is embedded: DejaVu, of which
// the PDF gets the letters that it uses. It has Latin with all its accents, Greek, Cyrillic,
// Armenian and Georgian, and Arabic and Hebrew letters, which stand unjoined and from
// left to right. It has no Chinese, Japanese, Korean, Thai or Indic: such a letter is
// printed as a box, and the ids of event and section, which every page has, must do.
const (
	family = "dejavu"
	// missing stands for a letter that the typeface lacks.
	missing = '□'
	// lastLetter is the last that the PDF can address: none beyond the basic plane.
	lastLetter = 0xFFFF
)

// typeface is a font, and what it has.
type typeface struct {
	style string // as fpdf calls it
	data  []byte
	font  func() *sfnt.Font
}

var (
	regular = newTypeface("", dejavusanscondensed.TTF)
	bold    = newTypeface("B", dejavusanscondensedbold.TTF)
)

func newTypeface(style string, data []byte) *typeface {
	return &typeface{style, data, sync.OnceValue(func() *sfnt.Font {
		font, err := sfnt.Parse(data)
		if err != nil {
			panic("the embedded font: " + err.Error()) // a broken build
		}
		return font
	})}
}

// printable is a text as the typeface can print it: on one line, accents joined to their
// letters, a box for each letter that it lacks.
func printable(f *typeface, text string) string {
	var buffer sfnt.Buffer
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			return ' '
		}
		if glyph, err := f.font().GlyphIndex(&buffer, r); r > lastLetter || err != nil || glyph == 0 {
			return missing
		}
		return r
	}, norm.NFC.String(text)))
}

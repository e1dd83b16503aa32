package web_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"testing"

	"onsale"
)

// What a browser sees is compared in the form of a snapshot: onsale.FeedSnapshot,
// written by this expression of a Stock.
const viewOf = `((stock) => stock.known ? {
	type: 'snapshot', event: stock.event, epoch: stock.epoch, seq: stock.seq, at: stock.at, sale: stock.sale,
	sections: [...stock.sections.values()].map((s) => ({ ...s, seats: stock.seatsText(s.id) })),
} : null)`

func TestFramesAreFoldedByTheRules(t *testing.T) {
	text, err := os.ReadFile("testdata/fold_cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Cases []struct {
			Name     string
			Frames   []json.RawMessage
			Verdicts []string
			View     *onsale.FeedSnapshot
		}
	}
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	p := openTab(t, newOffice(t, arena()).url, "/")
	for _, c := range table.Cases {
		t.Run(c.Name, func(t *testing.T) {
			frames, err := json.Marshal(c.Frames)
			if err != nil {
				t.Fatal(err)
			}
			got := value[struct {
				Verdicts []string
				View     *onsale.FeedSnapshot
			}](p, fmt.Sprintf(`import('/assets/fold.js').then(({ Stock }) => {
				const stock = new Stock();
				const verdicts = %s.map((frame) => stock.apply(frame));
				return { verdicts, view: %s(stock) };
			})`, frames, viewOf))
			if !reflect.DeepEqual(got.Verdicts, c.Verdicts) {
				t.Errorf("verdicts %v, want %v", got.Verdicts, c.Verdicts)
			}
			if !reflect.DeepEqual(got.View, c.View) {
				t.Errorf("view %+v, want %+v", got.View, c.View)
			}
		})
	}
}

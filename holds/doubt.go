package holds

import "onsale"

// A mirror is in doubt while the stock is lost, being laid anew, or can't be reached.
// What it knew last is the best it has, and nobody can be sold any of it: so it keeps
// that, at its epoch and seq, and says that the sale is recovering. Doubt ends with
// what made it needless: the same stock, found whole; the next delta; or a new epoch.

// doubt begins it, and tells the listeners once.
func (mi *mirror) doubt() {
	mi.mu.Lock()
	defer mi.mu.Unlock()
	if mi.stock != nil && mi.stock.Sale != onsale.SaleRecovering {
		mi.say(onsale.SaleRecovering)
	}
}

// trust ends it if the stock in Redis is whole, and the one that the mirror has.
func (mi *mirror) trust(c Condition) {
	mi.mu.Lock()
	defer mi.mu.Unlock()
	if s := mi.stock; s != nil && s.Sale == onsale.SaleRecovering && c.Whole() && c.Epoch == s.Epoch && c.Seq == s.Seq {
		mi.say(c.Sale)
	}
}

// say tells what the sale is doing, which is no delta of the stock. The caller has mu.
func (mi *mirror) say(sale onsale.Sale) {
	mi.stock.Sale = sale
	mi.listeners.reset(mi.stock)
}

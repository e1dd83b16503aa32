// Package onsale is the vocabulary of a flash-sale ticketing engine: the
// identifiers, the event and its sections, the stock and its counts, the hold,
// the order and the transitions it may make, the ticket, the error codes, the
// messages that travel between the parts, and the limits that bound them.
//
// It holds no clock, no goroutine and no I/O, and imports the standard library
// alone, so that every other folder can speak the same words without importing
// each other. The way of a purchase through those folders is:
//
//	engine → holds → Redis → realtime → browsers
//	engine → checkout → Kafka → persist → Postgres → Kafka → checkout/payment
//
// Who holds the truth: Redis says who may hold a seat now; Kafka says whether a
// purchase was accepted; Postgres says whose seat it is; the payment provider
// says whether it was charged.
package onsale

// Package persist is the durable book of who owns what, in Postgres: events,
// claims, orders, payments, tickets, and the audit that reads them all.
//
// A purchase passes it twice. Claim gives it its inventory, before any money
// moves; Finalise ends it once the provider has answered. Both take batches, use
// one transaction each, and may be repeated with the same batch any number of
// times: the Settler runs them on what Kafka delivers at least once, and the whole
// is exactly once.
//
//	Kafka purchases → Settler → Claim    → Kafka charges, or orders (rejected)
//	Kafka results   → Settler → Finalise → Kafka orders (ticketed, declined)
package persist

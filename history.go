package onsale

import "time"

// Actor is who moved an order. It names a part of Onsale or a role, never a person.
type Actor string

// The actors.
const (
	ActorSettlement Actor = "settlement" // claiming and finalising, as the purchase and its payment say
	ActorRecovery   Actor = "recovery"   // what a crash or a lost record left behind
	ActorOperator   Actor = "operator"
)

// OrderMove is one step of an order's history, which is only ever added to.
type OrderMove struct {
	From   OrderState `json:"from"`
	To     OrderState `json:"to"`
	Reason string     `json:"reason,omitempty"`
	Actor  Actor      `json:"actor"`
	At     time.Time  `json:"at"` // by Postgres's clock
}

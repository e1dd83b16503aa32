package main

// mutant is a mistake that someone could make in the pipeline of a purchase, and the test
// that must turn red with it.
type mutant struct {
	name string // what the mistake is
	file string // where, from the repository's root
	old  string // what is right; it occurs once
	now  string // what is wrong
	test string // of the package below
	in   string // the package, from the root
}

// mutants are the mistakes, in the order in which a purchase would suffer from them.
var mutants = []mutant{
	{
		name: "a 202 though Kafka did not take the purchase",
		file: "checkout/checkout.go",
		old:  "err = t.accepted(l, order, t.producer.Produce(ctx, *purchase))",
		now:  "_ = t.accepted(l, order, t.producer.Produce(ctx, *purchase))",
		test: "TestPurchaseThatKafkasProducerHasNoRoomForIsAnsweredAtOnce", in: "checkout",
	},
	{
		name: "a 202 by the event loop though Kafka did not take the purchase",
		file: "checkout/checkout.go",
		old:  "if err = t.accepted(l, order, err); err != nil {",
		now:  "if err = t.accepted(l, order, nil); err != nil {",
		test: "TestPurchaseThatKafkasProducerHasNoRoomForIsAnsweredAtOnce", in: "checkout",
	},
	{
		name: "a pin is freed while its purchase may be in Kafka",
		file: "checkout/recovery.go",
		old:  "if err := r.cfg.Drained(ctx); err != nil {",
		now:  "if err := r.cfg.Drained(ctx); false {",
		test: "TestOrphanIsLeftAloneWhileItsPurchaseMayBeInKafka", in: "checkout",
	},
	{
		name: "the offset is committed before the work is done",
		file: "internal/kafka/consumer.go",
		old:  "c.cfg.Handle(work, batch)",
		now:  "func() error { c.commit(work, batch); return c.cfg.Handle(work, batch) }()",
		test: "TestSettlerThatIsStoppedBeforePostgresAnswersLosesNothingOnKafka", in: "persist",
	},
	{
		name: "an order that claims nothing is charged all the same",
		file: "persist/claim.go",
		old:  "\t\tif state == onsale.OrderRejected {\n\t\t\td.news",
		now:  "\t\tif state == onsale.OrderRejected {\n\t\t\td.charges = append(d.charges, o.charge())\n\t\t\td.news",
		test: "TestOrderThatCanNotHaveEverythingGetsNothingAndCostsNobodyASeat", in: "persist",
	},
	{
		name: "the charge is asked for before the claim",
		file: "persist/settler.go",
		old:  "\t\tcharges, news, err := s.cfg.Store.Claim(ctx, contents(letters))\n",
		now: `		for _, p := range contents(letters) {
			early := onsale.Charge{Order: p.Order, Event: p.Event, Amount: p.Amount, Currency: p.Currency, PaymentToken: p.PaymentToken}
			if err := s.cfg.Producer.Produce(ctx, kafka.Message{Topic: onsale.TopicCharges, Key: string(p.Order), Value: early}); err != nil {
				return err
			}
		}
		charges, news, err := s.cfg.Store.Claim(ctx, contents(letters))
`,
		test: "TestSettlerThatIsStoppedBeforePostgresAnswersLosesNothingOnKafka", in: "persist",
	},
	{
		name: "two claims may have one seat",
		file: "persist/migrations/00003_claims.sql",
		old:  "CREATE UNIQUE INDEX claims_one_per_seat ON",
		now:  "CREATE INDEX claims_one_per_seat ON",
		test: "TestPostgresRefusesAnOversaleWhateverTheCodeDoes", in: "persist",
	},
	{
		name: "each attempt to charge has a key of its own",
		file: "checkout/payment/asking.go",
		old:  "c.base.JoinPath(path...), string(charge.Order), body",
		now:  "c.base.JoinPath(path...), string(onsale.NewHoldID(charge.Event, 1).Order()), body",
		test: "TestEachMisbehaviourIsUnknownOrTrueAndChargesOnce", in: "checkout/payment",
	},
	{
		name: "unknown is taken for declined",
		file: "checkout/payment/attempt.go",
		old:  "\t// under the same key, can say.\n\treturn onsale.ChargeResult{}, err\n",
		now:  "\t// under the same key, can say.\n\treturn onsale.ChargeResult{Order: d.charge.Order, Event: d.charge.Event, Outcome: onsale.ChargeDeclined}, nil\n",
		test: "TestUnknownIsNeverToldAndNeverForgotten", in: "checkout/payment",
	},
	{
		name: "what is refused is voided without a look-up",
		file: "checkout/payment/attempt.go",
		old:  "\tu.counters.unknown.Inc()\n",
		now:  "\tu.counters.unknown.Inc()\n\tif errors.Is(err, ErrRefused) {\n\t\treturn u.callOff(ctx, d.charge, onsale.DeclinedRefused)\n\t}\n",
		test: "TestChargeThatIsRefusedForGoodIsVoidedAndDeclined", in: "checkout/payment",
	},
	{
		name: "declined without a void",
		file: "checkout/payment/attempt.go",
		old:  "\tresult, err := u.ask(ctx, charge, u.provider.Void)\n",
		now:  "\tresult, err := onsale.ChargeResult{Order: charge.Order, Event: charge.Event, Outcome: onsale.ChargeDeclined, Reason: onsale.DeclinedVoided}, error(nil)\n",
		test: "TestRefusedIsDeclinedOnlyWhenItIsSurelyVoided", in: "checkout/payment",
	},
	{
		name: "a charge is done with though Kafka has not taken its result",
		file: "checkout/payment/undecided.go",
		old:  "err = u.tell(context.WithoutCancel(ctx), result)",
		now:  "_ = u.tell(context.WithoutCancel(ctx), result)",
		test: "TestBatchIsDoneOnlyWhenKafkaHasItsResults", in: "checkout/payment",
	},
	{
		name: "a dead letter that Kafka does not take is dropped",
		file: "checkout/payment/worker.go",
		old:  "if err := w.bury(ctx, r, err); err != nil {",
		now:  "if err := w.bury(ctx, r, err); false {",
		test: "TestBatchIsDoneOnlyWhenKafkaHasItsResults", in: "checkout/payment",
	},
	{
		name: "an order whose payment was declined is ticketed",
		file: "persist/verdict.go",
		old:  "return verdict{next: onsale.OrderDeclined, reason: r.Reason, tell: true}",
		now:  "return verdict{next: onsale.OrderTicketed, tell: true}",
		test: "TestDeclinedOrderGivesItsInventoryBack", in: "persist",
	},
	{
		name: "a declined order keeps its claims",
		file: "persist/finalise.go",
		old:  "q.Queue(dropClaims, events, ids)\n",
		now:  "",
		test: "TestDeclinedOrderGivesItsInventoryBack", in: "persist",
	},
	{
		name: "whatever was captured buys the order",
		file: "persist/verdict.go",
		old:  "case r.Amount != o.Amount || r.Currency != o.Currency:",
		now:  "case false:",
		test: "TestEachAnswerHasItsVerdict", in: "persist",
	},
	{
		name: "a second capture is kept",
		file: "persist/verdict.go",
		old:  "return verdict{payment: paymentRefundDue, stray: ReasonDoubleCharge, tell: true}",
		now:  "return verdict{tell: true}",
		test: "TestSecondCaptureOfAnOrderIsADoubleChargeOnRecord", in: "persist",
	},
	{
		name: "two payments may settle one order",
		file: "persist/migrations/00004_payments_and_tickets.sql",
		old:  "CREATE UNIQUE INDEX payments_one_settles ON",
		now:  "CREATE INDEX payments_one_settles ON",
		test: "TestEachWrongStateIsRefusedByWhatIsMeantTo", in: "persist",
	},
	{
		name: "the news are told before COMMIT",
		file: "persist/finalise.go",
		old:  "\tif err != nil {\n\t\treturn nil, nil, err\n\t}\n\tcrashpoint.Reach(crashpoint.AfterFinaliseCommit)",
		now:  "\tcrashpoint.Reach(crashpoint.AfterFinaliseCommit)",
		test: "TestNewsAreToldOnlyOfWhatIsCommitted", in: "persist",
	},
	{
		name: "a late payment is ticketed without a claim",
		file: "persist/reclaim.go",
		old:  "if !c.again.shelf.take(o.Event, o.Lines) {",
		now:  "if false {",
		test: "TestLatePaymentForWhatIsGoneIsPaidBackWhole", in: "persist",
	},
	{
		name: "stock of another run of Redis is believed",
		file: "holds/lua/book.lua",
		old:  "head[11] ~= RUN",
		now:  "false",
		test: "TestARedisThatCameBackWithOldDataGrantsNothing", in: "holds",
	},
	{
		name: "what is asked in an old epoch is granted",
		file: "holds/lua/book.lua",
		old:  "if head[1] ~= ARGV[1] then return",
		now:  "if not head[1] then return",
		test: "TestAProcessThatHasNotHeardOfAnEpochGrantsNothingInTheOldOne", in: "holds",
	},
	{
		name: "more is paid back than was captured",
		file: "persist/migrations/00006_refunds.sql",
		old:  "CHECK (paying_back BETWEEN 0 AND amount)",
		now:  "CHECK (paying_back >= 0)",
		test: "TestPostgresRefusesWhatNoRefundMayDo", in: "persist",
	},
	{
		name: "all the money without the tickets",
		file: "persist/refund_ask.go",
		old:  "case ask.Amount != nil && *ask.Amount >= left:",
		now:  "case false:",
		test: "TestRefundThatCantBeMeantIsRefusedAndLeavesNoTrace", in: "persist",
	},
	{
		name: "a ticket admits while its money is on the way back",
		file: "persist/refund_ask.go",
		old:  "return setTickets(ctx, tx, r, onsale.TicketValid, onsale.TicketBlocked)",
		now:  "return nil",
		test: "TestRefundOfTicketsGivesThoseBackAndTheirPrice", in: "persist",
	},
	{
		name: "each attempt to pay back has a key of its own",
		file: "checkout/payment/asking.go",
		old:  "string(refund.ID), body",
		now:  "string(onsale.NewRefundID()), body",
		test: "TestRefundIsPaidBackOnceHoweverItMisbehaves", in: "checkout/payment/simulator",
	},
	{
		name: "a refund is done with though it could not be told",
		file: "checkout/refunder.go",
		old:  "if err := r.tell(ending, news); err != nil {",
		now:  "if err := r.tell(ending, news); false {",
		test: "TestRefundWaitsForStockThatIsBeingLaid", in: "checkout",
	},
}

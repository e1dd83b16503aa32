package persist

import (
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"onsale"
	"onsale/internal/freshness"
	"onsale/internal/stores"
	"onsale/internal/stores/storestest"
)

// followed is a book whose lists are read from a streaming replica.
type followed struct {
	*book
	replica *stores.Postgres
	buyer   onsale.BuyerID // of all its purchases
	frozen  []int          // the processes that were stopped
}

func newFollowed(t *testing.T) *followed {
	t.Helper()
	master := storestest.PrivatePostgres(t)
	replica := storestest.Replica(t, master)
	f := &followed{replica: replica, buyer: onsale.NewBuyerID(),
		book: newBookOn(t, master.URL(), Config{Secret: secret, ReadURLs: []string{replica.URL()}})}
	f.used(true)
	return f
}

func (f *followed) used(want bool) {
	f.t.Helper()
	eventually(f.t, "the replica is used, or not any more", func() bool { return (f.replicas.nearest() != nil) == want })
}

// buy claims a place and returns its order.
func (f *followed) buy() onsale.OrderID {
	f.t.Helper()
	p := f.purchase(floor(1))
	p.Buyer = f.buyer
	f.claim(p)
	return p.Order
}

// listed is how many orders the buyer's list has.
func (f *followed) listed() int {
	f.t.Helper()
	orders, _, err := f.Orders(f.t.Context(), f.buyer, MaxOrdersPage, "")
	if err != nil {
		f.t.Fatal(err)
	}
	return len(orders)
}

// atReplica runs a statement there.
func (f *followed) atReplica(statement string) {
	f.t.Helper()
	conn, err := pgx.Connect(f.t.Context(), f.replica.URL())
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = conn.Close(f.t.Context()) }()
	if _, err := conn.Exec(f.t.Context(), statement); err != nil {
		f.t.Fatal(err)
	}
}

// pauseReplay returns when the replica takes in nothing new.
func (f *followed) pauseReplay() {
	f.t.Helper()
	conn, err := pgx.Connect(f.t.Context(), f.replica.URL())
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = conn.Close(f.t.Context()) }()
	if _, err := conn.Exec(f.t.Context(), `SELECT pg_wal_replay_pause()`); err != nil {
		f.t.Fatal(err)
	}
	eventually(f.t, "replay is paused", func() (paused bool) {
		err := conn.QueryRow(f.t.Context(), `SELECT pg_get_wal_replay_pause_state() = 'paused'`).Scan(&paused)
		return err == nil && paused
	})
}

func TestListsMayComeFromAReplicaAndNothingElseDoes(t *testing.T) {
	t.Parallel()
	f := newFollowed(t)
	first := f.buy()
	eventually(t, "the replica lists the order", func() bool {
		before := f.replicas.fromReplica.Get()
		return f.listed() == 1 && f.replicas.fromReplica.Get() > before
	})
	f.pauseReplay()
	second := f.buy()
	// On a slow machine it may lag beyond the bound by now; then the list is the master's.
	before, want := f.replicas.fromReplica.Get(), 2
	n := f.listed()
	if f.replicas.fromReplica.Get() > before {
		want = 1
	}
	if n != want {
		t.Errorf("%d orders listed, want %d", n, want)
	}
	// What a buyer was told of is there at once, and so is what decides.
	for _, id := range []onsale.OrderID{first, second} {
		if state := f.state(id); state != onsale.OrderClaimed {
			t.Errorf("%s is %s", id, state)
		}
		if moves, err := f.History(t.Context(), id); err != nil || len(moves) != 1 {
			t.Errorf("history %v, %v", moves, err)
		}
	}
	if open, err := f.OpenOrders(t.Context(), "gala"); err != nil || open != 2 {
		t.Errorf("%d open orders, %v", open, err)
	}
	if view, err := f.StockView(t.Context(), "gala"); err != nil || len(view.Orders) != 2 {
		t.Errorf("stock view %+v, %v", view, err)
	}
	if report := f.audit(); report.Orders[onsale.OrderClaimed] != 2 {
		t.Errorf("the audit has %v: it is the lagging replica's", report.Orders)
	}
	f.used(false) // it lags beyond the bound
	if n := f.listed(); n != 2 {
		t.Errorf("%d orders listed by the master, want 2", n)
	}
	f.atReplica(`SELECT pg_wal_replay_resume()`)
	f.used(true)
	if n := f.listed(); n != 2 {
		t.Errorf("%d orders listed by a replica that has caught up, want 2", n)
	}
}

func TestAnAuditOnAReplicaMissesNothing(t *testing.T) {
	t.Parallel()
	f := newFollowed(t)
	there := 0
	for n := range 10 {
		f.buy()
		if r := f.replicas.caughtUp(t.Context()); r != nil {
			there++
		}
		if report := f.audit(); report.Orders[onsale.OrderClaimed] != int64(n+1) {
			t.Errorf("the audit has %v, want %d claimed", report.Orders, n+1)
		}
	}
	if there == 0 {
		t.Error("no replica ever had everything, so none of this was proved")
	}
}

func TestAReplicaThatIsKilledOrPausedCostsNobodyTheirAnswer(t *testing.T) {
	t.Parallel()
	f := newFollowed(t)
	f.buy()
	f.freeze(syscall.SIGSTOP)
	for f.replicas.nearest() != nil {
		if n := f.listed(); n != 1 {
			t.Fatalf("%d orders listed while the replica is paused", n)
		}
	}
	f.freeze(syscall.SIGCONT)
	f.used(true)

	if err := syscall.Kill(f.replica.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for f.replicas.nearest() != nil {
		if n := f.listed(); n != 1 {
			t.Fatalf("%d orders listed while the replica dies", n)
		}
	}
	f.buy()
	if n := f.listed(); n != 2 {
		t.Errorf("%d orders listed without a replica, want 2", n)
	}
	if err := <-f.replica.Exited(); err == nil {
		t.Error("it ended, and doesn't say why")
	}
	if err := f.replica.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.used(true)
	if n := f.listed(); n != 2 {
		t.Errorf("%d orders listed, want 2", n)
	}
}

// freeze sends every process of the replica a signal: its master process's would
// leave those that answer at work.
func (f *followed) freeze(signal syscall.Signal) {
	f.t.Helper()
	if signal == syscall.SIGSTOP {
		conn, err := pgx.Connect(f.t.Context(), f.replica.URL())
		if err != nil {
			f.t.Fatal(err)
		}
		rows, err := conn.Query(f.t.Context(), `SELECT pid FROM pg_stat_activity`)
		if err != nil {
			f.t.Fatal(err)
		}
		more, err := pgx.CollectRows(rows, pgx.RowTo[int])
		if err != nil {
			f.t.Fatal(err)
		}
		_ = conn.Close(f.t.Context())
		more = append(more, f.replica.PID())
		f.frozen = more
		f.t.Cleanup(func() { f.freeze(syscall.SIGCONT) }) // else it could not be stopped
	}
	for _, pid := range f.frozen {
		_ = syscall.Kill(pid, signal) // some of them have ended
	}
}

func TestAReplicaThatIsPromotedOrNoneIsNotUsed(t *testing.T) {
	t.Parallel()
	f := newFollowed(t)
	f.buy()
	f.atReplica(`SELECT pg_promote()`)
	f.used(false)
	f.buy()
	if n := f.listed(); n != 2 {
		t.Errorf("%d orders listed, want the master's 2", n)
	}
	for what, url := range map[string]string{"its master": f.url, "another server": storestest.Postgres(t)} {
		pool, err := newPool(t.Context(), url, 1)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		other := &replica{pool: pool, marks: freshness.NewMarks[int64](replicaMarks)}
		if err := f.replicas.check(t.Context(), other); err == nil {
			t.Errorf("%s is taken for a replica", what)
		}
	}
	if _, err := Open(t.Context(), f.url, Config{Secret: secret, ReadURLs: []string{"nonsense"}}); err == nil {
		t.Error("a replica's URL that is none is taken")
	}
}

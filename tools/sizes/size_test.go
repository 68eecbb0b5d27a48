package sizes

import (
	"errors"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in    string
		bytes uint64
	}{
		{"0", 0}, {"1", 1}, {"4096", 4096}, {"512B", 512}, {"4k", 4096}, {"4K", 4096}, {"4KiB", 4096}, {"4 kib", 4096},
		{"4kB", 4000}, {"1GiB", 1 << 30}, {"1g", 1 << 30}, {"1Gi", 1 << 30}, {"1GB", 1e9}, {"1.5TB", 15e11}, {"1.5t", 3 << 39},
		{".5k", 512}, {"0.1k", 102}, {"7EiB", 7 << 60}, {" 10M ", 10 << 20}, {"9223372036854775807", 1<<63 - 1},
	} {
		s, err := Parse(c.in)
		if err != nil || s.Bytes != c.bytes || s.Percent != 0 || !s.Given() {
			t.Errorf("Parse(%q) = %+v, %v; want %d bytes", c.in, s, err, c.bytes)
		}
		if s.Of(77) != c.bytes {
			t.Errorf("Parse(%q).Of = %d, want %d", c.in, s.Of(77), c.bytes)
		}
	}
	for _, in := range []string{"", " ", "k", "-1", "+1", "1e3", "1.2.3", "4kk", "4x", "4 i", "0%", "101%", "1%%", "8EiB", "99999999999999999999", "0x10", "1_000", "٣", "1/2", "%"} {
		if s, err := Parse(in); !errors.Is(err, ErrSyntax) {
			t.Errorf("Parse(%q) = %+v, %v; want ErrSyntax", in, s, err)
		}
	}
}

func TestPercent(t *testing.T) {
	s, err := Parse("12.5%")
	if err != nil || s.Of(1000) != 125 || s.String() != "12.5%" {
		t.Fatalf("12.5%% = %+v (%s) of 1000 = %d, %v", s, s.String(), s.Of(1000), err)
	}
	if s, _ := Parse("100%"); s.Of(1<<40) != 1<<40 {
		t.Fatal("100% is not all of it")
	}
}

func TestFlagValue(t *testing.T) {
	var s Size
	if s.String() != "" || s.Given() {
		t.Fatal("the zero value claims to be set")
	}
	if err := s.Set("nonsense"); err == nil || s.Given() {
		t.Fatal("a bad value was taken")
	}
	if err := s.Set("1k"); err != nil || s.String() != "1024" || s.Type() != "size" {
		t.Fatalf("Set(1k): %v, %s", err, s.String())
	}
}

func TestPrint(t *testing.T) {
	for _, c := range []struct {
		n                     uint64
		human, decimal, short string
	}{
		{0, "0 B", "0 B", "0 B"}, {999, "999 B", "999 B", "999 B"}, {1023, "1023 B", "1.0 kB", "1023 B"},
		{1024, "1.0 KiB", "1.0 kB", "1 KiB"}, {1<<20 - 1, "1.0 MiB", "1.0 MB", "1 MiB"}, {256 << 10, "256.0 KiB", "262.1 kB", "256 KiB"},
		{16000900661248, "14.6 TiB", "16.0 TB", "14.6 TiB"}, {1<<64 - 1, "16.0 EiB", "18.4 EB", "16 EiB"},
	} {
		if Human(c.n) != c.human || Decimal(c.n) != c.decimal || Short(c.n) != c.short {
			t.Errorf("%d: %q %q %q; want %q %q %q", c.n, Human(c.n), Decimal(c.n), Short(c.n), c.human, c.decimal, c.short)
		}
	}
}

func TestDuration(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{-1, "?"}, {0, "0 µs"}, {900 * time.Microsecond, "900 µs"}, {41 * time.Millisecond, "41 ms"}, {1400 * time.Millisecond, "1.4 s"},
		{125 * time.Second, "2 min 05 s"}, {200 * time.Minute, "3 h 20 min"}, {72 * time.Hour, "3 days"},
	} {
		if got := Duration(c.d); got != c.want {
			t.Errorf("Duration(%d) = %q, want %q", c.d, got, c.want)
		}
	}
}

// FuzzParse: whatever is written, Parse answers, and what it prints for an
// accepted size reads back as the same size.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"4k", "1GiB", "1.5TB", "10%", "", "9e9", "0.0000000001E", ".000000000001%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := Parse(in)
		if err != nil {
			return
		}
		again, err := Parse(s.String())
		if err != nil || again != s {
			t.Fatalf("Parse(%q) = %+v prints %q, which reads as %+v, %v", in, s, s.String(), again, err)
		}
	})
}

func TestInText(t *testing.T) {
	for in, want := range map[string]string{
		"log of 1099511627776 bytes: not within 4194304..33554432":     "log of 1 TiB: not within 4 MiB..32 MiB",
		"stripe of 3 bytes: not a multiple of 4096 up to 67108864":     "stripe of 3 bytes: not a multiple of 4 KiB up to 64 MiB",
		"memory budget 1 is below the least, 67108864":                 "memory budget 1 is below the least, 64 MiB",
		"3 zones, 0 bytes, disk8192, 99999999999999999999999999 bytes": "3 zones, 0 bytes, disk8192, 99999999999999999999999999 bytes",
	} {
		if got := InText(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

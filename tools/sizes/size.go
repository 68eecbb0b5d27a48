package sizes

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ErrSyntax is wrapped by every error of Parse.
var ErrSyntax = errors.New("not a size like 4k, 1GiB, 1.5TB or 10%")

// Size is an amount as it was written: bytes, or a percentage of something
// not yet known. The zero value means "not given". It is a flag value.
type Size struct {
	Bytes   uint64  // when Percent is 0
	Percent float64 // in (0, 100]; 0 means Bytes counts
	given   bool
}

// Parse reads a size or a percentage.
func Parse(s string) (Size, error) {
	text := strings.TrimSpace(s)
	digits := strings.TrimRight(text, "%abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit := strings.TrimSpace(text[len(digits):])
	if digits == "" || strings.Trim(digits, "0123456789.") != "" || len(digits) > 40 {
		return Size{}, fmt.Errorf("%q: %w", s, ErrSyntax)
	}
	n, ok := new(big.Rat).SetString(digits)
	if !ok {
		return Size{}, fmt.Errorf("%q: %w", s, ErrSyntax)
	}
	if unit == "%" {
		p, _ := n.Float64()
		if p <= 0 || p > 100 {
			return Size{}, fmt.Errorf("%q: a percentage is above 0 and at most 100: %w", s, ErrSyntax)
		}
		return Size{Percent: p, given: true}, nil
	}
	factor, ok := factorOf(unit)
	if !ok {
		return Size{}, fmt.Errorf("%q: unknown unit %q: %w", s, unit, ErrSyntax)
	}
	n.Mul(n, new(big.Rat).SetInt(new(big.Int).SetUint64(factor)))
	whole := new(big.Int).Quo(n.Num(), n.Denom())
	if !whole.IsUint64() || whole.Uint64() > math.MaxInt64 {
		return Size{}, fmt.Errorf("%q: larger than 8 EiB: %w", s, ErrSyntax)
	}
	return Size{Bytes: whole.Uint64(), given: true}, nil
}

// factorOf returns what one of unit is in bytes. A lone letter is binary, as
// everywhere in storage; only an explicit "B" without "i" is decimal.
func factorOf(unit string) (uint64, bool) {
	u := strings.ToLower(unit)
	switch u {
	case "", "b":
		return 1, true
	}
	power := strings.IndexByte("kmgtpe", u[0]) + 1
	if power == 0 {
		return 0, false
	}
	base := uint64(1024)
	switch u[1:] {
	case "", "i", "ib":
	case "b":
		base = 1000
	default:
		return 0, false
	}
	f := uint64(1)
	for range power {
		f *= base
	}
	return f, true
}

// Of returns the amount in bytes, a percentage taken of whole and rounded down.
func (s Size) Of(whole uint64) uint64 {
	if s.Percent > 0 {
		return uint64(s.Percent / 100 * float64(whole))
	}
	return s.Bytes
}

// Given reports whether the size was set at all, be it to zero.
func (s Size) Given() bool { return s.given }

// String prints the size as it may be read again.
func (s *Size) String() string {
	switch {
	case !s.given:
		return ""
	case s.Percent > 0:
		// Without an exponent: "1e-12%" would not be read back.
		return strconv.FormatFloat(s.Percent, 'f', -1, 64) + "%"
	default:
		return fmt.Sprint(s.Bytes)
	}
}

// Set is Parse into s, for flag packages.
func (s *Size) Set(text string) error {
	v, err := Parse(text)
	if err == nil {
		*s = v
	}
	return err
}

// Type names the value in usage texts.
func (s *Size) Type() string { return "size" }

// Human prints n bytes in binary units with one decimal: "0 B", "512 B",
// "4.0 KiB", "14.6 TiB".
func Human(n uint64) string {
	return scaled(n, 1024, []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"})
}

// Decimal prints n bytes in decimal units, as disks are sold: "16.0 TB".
func Decimal(n uint64) string { return scaled(n, 1000, []string{"kB", "MB", "GB", "TB", "PB", "EB"}) }

// Short prints n bytes without a fraction where it has none: "4 KiB", "256
// KiB", "1.5 GiB". Use it for sizes that were chosen, not measured.
func Short(n uint64) string {
	return strings.Replace(Human(n), ".0 ", " ", 1)
}

// numbers are amounts in an error of the engine, which speaks bytes.
var numbers = regexp.MustCompile(`\b[0-9]+\b( bytes)?`)

// InText prints the amounts in a text about sizes as Short does. Only multiples
// of 4096 are taken for amounts: of others every digit may matter.
func InText(text string) string {
	return numbers.ReplaceAllStringFunc(text, func(m string) string {
		n, err := strconv.ParseUint(strings.TrimSuffix(m, " bytes"), 10, 64)
		if err != nil || n == 0 || n%4096 != 0 {
			return m
		}
		return Short(n)
	})
}

func scaled(n, base uint64, units []string) string {
	if n < base {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/float64(base), 0
	// 1023.95 and more would print as 1024.0 of the smaller unit.
	for v >= float64(base)-0.05 && i < len(units)-1 {
		v, i = v/float64(base), i+1
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}

// Duration prints d for people: "3 ms", "1.4 s", "2 min 05 s", "3 h 20 min".
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "?"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d min", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
}

package i18n

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// percentDigits is the most decimals of a percentage.
const percentDigits = 4

// Number writes a finite value with at most two decimals, without trailing zeros. A value closer to 0 than 0.01 has two
// significant digits, so that it is never shown as 0.
func Number(v float64) string {
	if v != 0 && math.Abs(v) < 0.01 {
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	return trimZeros(strconv.FormatFloat(v, 'f', 2, 64))
}

// Percent writes a ratio as a percentage with one decimal: "75.0%". It has up to four decimals if fewer would show it as equal to
// 0, to 1 or to one of the limits though it is not: 0.9996 is "99.96%", and not "100.0%".
func Percent(ratio float64, limits ...float64) string {
	limits = append([]float64{0, 1}, limits...)
	for digits := 1; digits <= percentDigits; digits++ {
		text := percent(ratio, digits)
		if !slices.ContainsFunc(limits, func(limit float64) bool { return limit != ratio && percent(limit, digits) == text }) {
			return text + "%"
		}
	}
	return percent(ratio, 1) + "%"
}

// ExactPercent writes a ratio that a person configured as a percentage, with the decimals that it was given with: 0.9995 is "99.95%".
func ExactPercent(ratio float64) string {
	return trimZeros(strconv.FormatFloat(ratio*100, 'f', 6, 64)) + "%" // rounded, because 0.07*100 is 7.000000000000001
}

func percent(ratio float64, digits int) string {
	text := strconv.FormatFloat(ratio*100, 'f', digits, 64)
	if zero := strings.Trim(text, "-0."); zero == "" {
		return strings.TrimPrefix(text, "-")
	}
	return text
}

// trimZeros removes trailing zeros of a number with decimals, and the sign of 0.
func trimZeros(text string) string {
	text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	if text == "-0" {
		return "0"
	}
	return text
}

package picture

import (
	"image"
	"image/color"
)

// The font is three dots wide and five high, drawn at twice that; a glyph is
// its rows from the top, the leftmost dot the highest bit.
const (
	fontHeight = 5
	fontScale  = 2
	fontStep   = 4 * fontScale
	lineHeight = (fontHeight + 3) * fontScale
)

var font = map[rune][fontHeight]uint8{
	'0': {7, 5, 5, 5, 7}, '1': {2, 6, 2, 2, 7}, '2': {7, 1, 7, 4, 7}, '3': {7, 1, 7, 1, 7}, '4': {5, 5, 7, 1, 1},
	'5': {7, 4, 7, 1, 7}, '6': {7, 4, 7, 5, 7}, '7': {7, 1, 1, 2, 2}, '8': {7, 5, 7, 5, 7}, '9': {7, 5, 7, 1, 7},
	'A': {2, 5, 7, 5, 5}, 'B': {6, 5, 6, 5, 6}, 'C': {3, 4, 4, 4, 3}, 'D': {6, 5, 5, 5, 6}, 'E': {7, 4, 6, 4, 7},
	'F': {7, 4, 6, 4, 4}, 'G': {3, 4, 5, 5, 3}, 'H': {5, 5, 7, 5, 5}, 'I': {7, 2, 2, 2, 7}, 'J': {1, 1, 1, 5, 2},
	'K': {5, 5, 6, 5, 5}, 'L': {4, 4, 4, 4, 7}, 'M': {5, 7, 7, 5, 5}, 'N': {6, 5, 5, 5, 5}, 'O': {2, 5, 5, 5, 2},
	'P': {6, 5, 6, 4, 4}, 'Q': {2, 5, 5, 7, 3}, 'R': {6, 5, 6, 5, 5}, 'S': {3, 4, 2, 1, 6}, 'T': {7, 2, 2, 2, 2},
	'U': {5, 5, 5, 5, 7}, 'V': {5, 5, 5, 5, 2}, 'W': {5, 5, 7, 7, 5}, 'X': {5, 5, 2, 5, 5}, 'Y': {5, 5, 2, 2, 2},
	'Z': {7, 1, 2, 4, 7}, '.': {0, 0, 0, 0, 2}, '%': {5, 1, 2, 4, 5}, '-': {0, 0, 7, 0, 0}, '/': {1, 1, 2, 4, 4},
}

// drawText draws s from x, y on; what the font does not have stays blank.
func drawText(img *image.RGBA, x, y int, s string) {
	ink := color.RGBA{40, 40, 40, 255}
	for _, r := range s {
		glyph := font[r]
		for row, dots := range glyph {
			for col := range 3 {
				if dots>>(2-col)&1 == 0 {
					continue
				}
				px, py := x+col*fontScale, y+row*fontScale
				fillRect(img, image.Rect(px, py, px+fontScale, py+fontScale), ink)
			}
		}
		x += fontStep
	}
}

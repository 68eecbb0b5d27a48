package codes

import "ebofs/ebofs/check"

// storePages are the codes of problems found on a device.
func storePages() (pages []Page) {
	for _, p := range check.Pages() {
		pages = append(pages, Page{Code: string(p.Code), Title: p.Title, Meaning: p.Meaning, Danger: p.Danger, Cure: p.Cure})
	}
	return pages
}

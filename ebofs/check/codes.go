package check

import "slices"

// Code names a kind of problem: E- an error, W- a warning. Codes are for ever.
type Code string

// The codes. Their meaning is in Pages.
const (
	LabelBad    Code = "W-LABEL"
	LabelOther  Code = "E-LABEL-OTHER"
	SuperBad    Code = "W-SUPER"
	SuperOther  Code = "E-SUPER-OTHER"
	DeviceShort Code = "E-SIZE"
	LogMissing  Code = "E-LOG-MISSING"
	LogDamage   Code = "E-LOG-DAMAGE"
	RootBad     Code = "E-ROOT"
	ZoneTable   Code = "E-ZONETABLE"
	ZoneBitmap  Code = "E-ZONE-BITMAP"
	SpaceLog    Code = "E-SPACELOG"
	ZoneCount   Code = "E-ZONE-COUNT"
	Counter     Code = "E-COUNTER"
	Leak        Code = "W-LEAK"
	UsedFree    Code = "E-BLOCK-FREE"
	UsedTwice   Code = "E-BLOCK-TWICE"
	RefsBad     Code = "E-REFS"
	OwnersBad   Code = "E-OWNERS"
	Range       Code = "E-BLOCK-RANGE"
	NodeRead    Code = "E-NODE-READ"
	NodeCRC     Code = "E-NODE-CRC"
	NodeStale   Code = "E-NODE-STALE"
	NodePlace   Code = "E-NODE-PLACE"
	NodeOwner   Code = "E-NODE-OWNER"
	NodeForm    Code = "E-NODE-FORM"
	NodeLost    Code = "E-NODE-LOST"
	NodeTotals  Code = "E-NODE-TOTALS"
	KeyBad      Code = "E-KEY"
	OnodeBad    Code = "E-ONODE"
	IDBad       Code = "E-OBJECT-ID"
	Orphan      Code = "E-ORPHAN"
	CollBad     Code = "E-COLLECTION"
	ChunkBad    Code = "E-CHUNK"
	BeyondEnd   Code = "W-BEYOND-END"
	TrashBad    Code = "E-TRASH"
	KeptBad     Code = "E-KEPT-EPOCH"
	ValueBad    Code = "E-VALUE"
	DataRead    Code = "E-DATA-READ"
	DataCRC     Code = "E-DATA-CRC"
	DataDamaged Code = "W-DATA-DAMAGED"
	// ObjectDamaged: the onode is marked.
	ObjectDamaged Code = "W-OBJECT-DAMAGED"
)

// Who can repair a problem.
const (
	RepairHere = "here" // fsck, from what else is on this device
	RepairPeer = "peer" // another copy of the object
	RepairNone = "none" // nobody; it is said so that one knows
)

// Page explains a code. The texts are sentences.
type Page struct {
	Code    Code
	Title   string // one line, lower case, no full stop
	Meaning string
	Danger  string
	Cure    string
	Repair  string // who can repair it: RepairHere, RepairPeer or RepairNone
}

// Pages returns the page of every code, sorted by code.
func Pages() []Page {
	const (
		peer   = "`ebofs fsck -y` makes the store whole around it and marks what is lost. Then restore the objects named from another copy."
		derive = "Nothing is lost: it is derived data, and `ebofs fsck -y` writes it anew."
		walk   = "The objects below it cannot be read from this device; everything else can."
	)
	p := []Page{
		{LabelBad, "a label copy is damaged", "One of the places for the label does not hold this store's label.",
			"None while another copy or a superblock is readable; tools may not recognise the device at a glance.", "`ebofs fsck -p` writes it anew.", RepairHere},
		{LabelOther, "a label of another store", "A valid label names another store or device than the superblock does.",
			"The device was formatted over, or part of another disk was copied onto it.", "Make sure this is the right device; then `ebofs fsck -y` writes the label anew.", RepairHere},
		{SuperBad, "a superblock copy is damaged", "One of the four superblock slots is damaged or was not written when it should have been.",
			"None while the others are sound: the newest sound one is used.", "The next checkpoint writes over it; `ebofs fsck -p` does at once.", RepairHere},
		{SuperOther, "a superblock of another store on a device of this one", "The log device's superblock names another store, or another place in this one.",
			"The log of the wrong store might be replayed; it is not.", "Give the log device whose id the message names.", RepairNone},
		{DeviceShort, "the device is smaller than its store", "The superblock says the device had more blocks than it has now.",
			"What lay beyond the end is gone.", "If an image was cut, restore it; if a volume was shrunk, grow it again.", RepairNone},
		{LogMissing, "the log could not be checked", "The store keeps its log on another device, which was not given or is not the right one.",
			"Transactions committed since the last checkpoint may exist only there.", "Run fsck with --log DEV.", RepairNone},
		{LogDamage, "the log is damaged", "A part of the log that had been committed cannot be read any more.",
			"Transactions from there on are missing; the store opens read-only.", "Let other copies repair the objects, or accept the state before the damage.", RepairPeer},
		{RootBad, "the root record is damaged", "The record that names all trees is unreadable, or not the one the superblock points to.",
			"Nothing below it can be found by normal means.", "`ebofs fsck -y` searches the device for the trees; keep the undo file.", RepairHere},
		{ZoneTable, "the zone table is damaged", "The table of free space by zone is unreadable or contradicts the superblock.",
			"The store cannot be opened for writing: it would not know what is free. Objects are not affected.", derive, RepairHere},
		{ZoneBitmap, "a zone bitmap is damaged", "The map of used blocks of one zone is unreadable or of another zone.",
			"That zone cannot be written to. Objects are not affected.", derive, RepairHere},
		{SpaceLog, "the space log is damaged", "A segment of the log of freed and allocated extents is unreadable.",
			"Free space may be wrong. Objects are not affected.", derive, RepairHere},
		{ZoneCount, "a zone's totals are wrong", "The free blocks or free stripes written for a zone are not what its bitmap says.",
			"Space may be refused though it is there, or promised though it is not.", derive, RepairHere},
		{Counter, "a counter is wrong", "A total in the root record differs from a recount.", "Statistics are wrong; no object is.", derive, RepairHere},
		{Leak, "blocks used but not owned", "The bitmaps say used, and no object, tree or structure uses them.",
			"Space is lost until it is repaired; no object is.", derive, RepairHere},
		{UsedFree, "blocks owned but marked free", "An object, tree or structure uses blocks the bitmaps say are free.",
			"The next write may go there and destroy the object named.", "Do not write to this store before `ebofs fsck -y` has marked them.", RepairHere},
		{UsedTwice, "blocks with two owners", "Two objects or structures use the same blocks.",
			"At most one of them is right; the other reads as damaged, and removing one frees what the other needs.", "`ebofs fsck -y --level deep` gives the second a copy if its checksum is right and a mark if not; restore that one from another copy.", RepairPeer},
		{RefsBad, "wrong reference counts", "The count of extents that map a block, which clones share, is not what the objects say, or is unreadable.",
			"Counted too low, removing one object frees what another needs; counted too high, space is lost.", "Remove no objects from this store before `ebofs fsck -y` has counted anew; nothing is lost.", RepairHere},
		{OwnersBad, "owners of blocks unreadable", "A record of the owners tree, by which the cleaner finds whose data a block holds, is malformed.",
			"Some stripes are not cleaned; no object suffers.", derive, RepairHere},
		{Range, "an extent outside the zones", "An address points outside the space for data, or into a place reserved for something else.",
			"What it should point to cannot be read.", peer, RepairPeer},
		{NodeRead, "a tree node cannot be read", "The device returned an error for a tree node, three times.", walk, peer, RepairPeer},
		{NodeCRC, "a tree node is damaged", "The checksum of a tree node does not match its bytes, or it is no tree node at all.", walk, peer, RepairPeer},
		{NodeStale, "an old version of a tree node", "A sound tree node lies there, but not the one its parent points to: a write was lost, or came from another time.", walk, peer, RepairPeer},
		{NodePlace, "a tree node in the wrong place", "A sound tree node lies there that was written for another place or another store: a write was misdirected.", walk, peer, RepairPeer},
		{NodeOwner, "a tree node of another tree", "A sound tree node lies there that belongs to another tree or object.", walk, peer, RepairPeer},
		{NodeForm, "a malformed tree node", "The checksum of a tree node is right, but its fields, keys or limits contradict each other or its parent.",
			"A bug or broken memory wrote it. " + walk, peer + " Please report it.", RepairPeer},
		{NodeLost, "a tree node that was given up", "It could not be read when changes to it were due; they are lost, and it is not believed any more even if it can be read now.", walk, peer, RepairPeer},
		{NodeTotals, "a tree's totals are wrong", "The numbers of items or bytes a parent holds are not those of its subtree.",
			"Statistics are wrong; items are not.", derive, RepairHere},
		{KeyBad, "a malformed key", "A key of a tree is not the name of anything.", "What it named cannot be reached.", peer, RepairPeer},
		{OnodeBad, "a malformed onode", "The metadata of an object does not decode or contradicts itself.", "The object cannot be read; others can.", peer, RepairPeer},
		{IDBad, "an object id used twice or not yet given", "Two objects have the same internal id, or one has an id that was never given out.",
			"Nodes of one object could be taken for the other's.", peer + " Please report it.", RepairPeer},
		{Orphan, "an object in no collection", "No collection's range holds the object's key.", "It is not listed and cannot be reached; it uses space.", "`ebofs fsck -y` makes a collection for it, lost+found.", RepairHere},
		{CollBad, "a malformed or overlapping collection", "A collection's record does not decode, or two collections could hold the same object.",
			"Objects may be listed in the wrong collection.", "`ebofs fsck -y` removes it and keeps its objects, in a collection of lost objects if no other holds them. Restore the collection from another copy.", RepairPeer},
		{ChunkBad, "a malformed extent record", "A record that maps part of an object does not decode.", "That part of the object cannot be read.", peer, RepairPeer},
		{BeyondEnd, "blocks beyond the end of an object", "An object has blocks behind its last byte.", "Space is lost until the object is removed.", "None needed; `ebofs fsck -y` returns the space.", RepairHere},
		{TrashBad, "a malformed trash record", "The record of a removed object does not decode.", "Its space is not returned.", derive, RepairHere},
		{KeptBad, "a kept epoch is damaged", "An earlier checkpoint that the store keeps to be read is not whole; `ebofs fsck --epoch N` says all that is wrong with it.",
			"The store as it is now is not affected, nor are other kept epochs; what is damaged of this one cannot be read.", "None needed: it is dropped in its turn. `ebofs fsck -y` drops all kept epochs (with --drop-epochs even if something is lost that they may hold), `ebofs device keep-epochs` the oldest.", RepairHere},
		{ValueBad, "a damaged long value", "The checksum of an attribute or omap value stored outside its tree does not match.", "That value cannot be read; wrong bytes are not returned.", peer, RepairPeer},
		{DataRead, "data cannot be read", "The device returned an error for blocks of an object, three times.", "These bytes of the object cannot be read here.", peer, RepairPeer},
		{DataCRC, "damaged data", "The checksum of blocks of an object does not match.", "These bytes cannot be read; wrong bytes are not returned.", peer, RepairPeer},
		{DataDamaged, "data known to be damaged", "A part of a block was overwritten while the rest of it was already damaged, or a repair could not find what belongs there; it is marked so that nothing else is taken for it.",
			"These bytes cannot be read. `ebofs fsck -y` does not bring them back: it is what marks them.",
			"Restore the object from another copy, overwrite the whole blocks, or remove the object: each takes the mark away.", RepairPeer},
		{ObjectDamaged, "an object known to be damaged", "Changes to the object were lost, or a repair could not tell which parts of it are; it is marked so that nothing old is taken for it.",
			"The object cannot be read. `ebofs fsck -y` does not bring it back: it is what marks it.",
			"Remove it, with `ebofs object DEV rm`, and restore it from another copy.", RepairPeer},
	}
	slices.SortFunc(p, func(a, b Page) int {
		if a.Code < b.Code {
			return -1
		}
		return 1
	})
	return p
}

// repairs and known are the pages by code.
func repairOf() map[Code]string {
	m := make(map[Code]string)
	for _, p := range Pages() {
		m[p.Code] = p.Repair
	}
	return m
}

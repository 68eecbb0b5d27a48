package rbd

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

func init() { cls.Register("rbd", class) }

// class is every method, by what it works on.
var class = cls.Class{
	// header
	"create":                 cls.Writing(decodeImage, create),
	"get_size":               cls.Reading(snapID, getSize),
	"set_size":               cls.Writing(u64, setSize),
	"get_object_prefix":      cls.Reading(cls.NoInput, getObjectPrefix),
	"get_features":           cls.Reading(decodeOpenMode, getFeatures),
	"set_features":           cls.Writing(decodeMasked, setFeatures),
	"get_all_features":       cls.Reading(cls.NoInput, getAllFeatures),
	"op_features_get":        cls.Reading(cls.NoInput, getOpFeatures),
	"op_features_set":        cls.Writing(decodeMasked, setOpFeatures),
	"get_flags":              cls.Reading(snapID, getFlags),
	"set_flags":              cls.Writing(decodeFlags, setFlags),
	"get_data_pool":          cls.Reading(cls.NoInput, getDataPool),
	"get_stripe_unit_count":  cls.Reading(cls.NoInput, getStriping),
	"set_stripe_unit_count":  cls.Writing(decodeStriping, setStriping),
	"get_create_timestamp":   cls.Reading(cls.NoInput, getTime(keyCreated)),
	"get_access_timestamp":   cls.Reading(cls.NoInput, getTime(keyAccessed)),
	"get_modify_timestamp":   cls.Reading(cls.NoInput, getTime(keyModified)),
	"set_access_timestamp":   cls.Writing(cls.NoInput, setTime(keyAccessed)),
	"set_modify_timestamp":   cls.Writing(cls.NoInput, setTime(keyModified)),
	"metadata_list":          cls.Reading(decodeRange, listMetadata),
	"metadata_get":           cls.Reading(str, getMetadata),
	"metadata_set":           cls.Writing(decodeMetadata, setMetadata),
	"metadata_remove":        cls.Writing(str, removeMetadata),
	"image_group_get":        cls.Reading(cls.NoInput, getGroup),
	"get_id":                 cls.Reading(cls.NoInput, getID),
	"set_id":                 cls.Writing(str, setID),
	"get_snapcontext":        cls.Reading(cls.NoInput, getSnapContext),
	"snapshot_add":           cls.Writing(decodeNewSnapshot, addSnapshot),
	"snapshot_get":           cls.Reading(snapID, getSnapshot),
	"get_snapshot_name":      cls.Reading(snapID, getSnapshotName),
	"get_snapshot_timestamp": cls.Reading(snapID, getSnapshotTime),
	"snapshot_rename":        cls.Writing(decodeSnapshotName, renameSnapshot),
	"snapshot_remove":        cls.Writing(snapID, removeSnapshot),
	"snapshot_trash_add":     cls.Writing(snapID, trashSnapshot),
	"snapshot_get_limit":     cls.Reading(cls.NoInput, getLimit),
	"snapshot_set_limit":     cls.Writing(u64, setLimit),
	"get_protection_status":  cls.Reading(snapID, getProtection),
	"set_protection_status":  cls.Writing(decodeProtection, setProtection),

	// parent and children
	"parent_get":         cls.Reading(cls.NoInput, getParent),
	"parent_overlap_get": cls.Reading(snapID, getOverlap),
	"parent_attach":      cls.Writing(decodeAttach, attachParent),
	"parent_detach":      cls.Writing(cls.NoInput, detachParent),
	"child_attach":       cls.Writing(decodeSnapshotChild, attachChild),
	"child_detach":       cls.Writing(decodeSnapshotChild, detachChild),
	"children_list":      cls.Reading(snapID, listChildren),
	"add_child":          cls.Writing(decodeClone, addClone),
	"remove_child":       cls.Writing(decodeClone, removeClone),
	"get_children":       cls.Reading(decodeCloneKey, getClones),

	// directory and trash
	"dir_add_image":    cls.Writing(decodeEntry, addEntry),
	"dir_remove_image": cls.Writing(decodeEntry, removeEntry),
	"dir_rename_image": cls.Writing(decodeRename, renameEntry),
	"dir_get_id":       cls.Reading(str, lookUp(namePrefix)),
	"dir_get_name":     cls.Reading(str, lookUp(idPrefix)),
	"dir_list":         cls.Reading(decodeRange, listEntries),
	"trash_add":        cls.Writing(decodeTrashed, addTrash),
	"trash_remove":     cls.Writing(str, removeTrash),
	"trash_get":        cls.Reading(str, getTrash),
	"trash_list":       cls.Reading(decodeRange, listTrash),
	"trash_state_set":  cls.Writing(decodeTrashState, setTrashState),

	// object map and data
	"object_map_load":        cls.Reading(cls.NoInput, loadMap),
	"object_map_save":        cls.Writing(decodeBitVector, saveMap),
	"object_map_resize":      cls.Writing(decodeResize, resizeMap),
	"object_map_update":      cls.Writing(decodeUpdate, updateMap),
	"object_map_snap_add":    cls.Writing(cls.NoInput, addSnapshotToMap),
	"object_map_snap_remove": cls.Writing(decodeBitVector, removeSnapshotFromMap),
	"copyup":                 cls.Writing(cls.AllInput, copyUp),
	"sparse_copyup":          cls.Writing(decodeSparse, sparseCopyUp),
	"sparsify":               cls.Writing(decodeSparsify, sparsify),

	// mirroring
	"mirror_mode_get":             cls.Reading(cls.NoInput, noMirroring),
	"mirror_uuid_get":             cls.Reading(cls.NoInput, noMirroring),
	"mirror_peer_list":            cls.Reading(cls.NoInput, noMirroring),
	"mirror_image_list":           cls.Reading(cls.NoInput, noMirroring),
	"mirror_image_get":            cls.Reading(cls.NoInput, noMirroring),
	"mirror_image_get_image_id":   cls.Reading(cls.NoInput, noMirroring),
	"mirror_image_status_get":     cls.Reading(cls.NoInput, noMirroring),
	"mirror_image_status_summary": cls.Reading(cls.NoInput, noMirroring),
	"mirror_image_remove":         cls.Writing(cls.NoInput, noMirrorImage),
}

// Inputs of several methods.

func u64(d *denc.Decoder) uint64         { return d.U64() }
func str(d *denc.Decoder) string         { return d.Str() }
func snapID(d *denc.Decoder) ceph.SnapID { return ceph.SnapID(d.U64()) }

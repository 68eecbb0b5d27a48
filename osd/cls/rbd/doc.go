// Package rbd is the object class "rbd": what block device images keep in their
// objects, read and changed by the methods that clients call instead of knowing
// the formats. Data is read and written by plain operations; only copyup and
// sparsify are here.
//
// Nouns. An image has a name, an id, and a header whose omap has its properties
// and snapshots. A parent is the image and snapshot that a clone shows where it
// has no data of its own, up to its overlap. A child is the clone. The object map
// tells of each data object whether it is there.
//
//	rbd_directory      name_NAME → id, id_ID → name
//	rbd_id.NAME        the id, as data
//	rbd_header.ID      size, order, features, …, snapshot_HEX, snap_children_HEX,
//	                   metadata_KEY, parent
//	rbd_object_map.ID  bit vector, two bits per object
//	rbd_children       (pool, image, snapshot) → clones, format 1 of cloning
//	rbd_trash          id_ID → what was removed, from where, till when
//	rbd_data.ID.HEX    data
//
// Invariants:
//
//	I1  rbd_directory maps names to ids and ids to names, both or neither.
//	I2  Ids of snapshots only grow; snap_seq is the newest.
//	I3  A snapshot that is protected or has children is not removed.
//	I4  A header has its key parent as long as the head or a snapshot has an
//	    overlap with it.
//	I5  The footer of an object map has a CRC-32C of each of its blocks.
//
// Formats are Ceph's of Nautilus and later; a header whose snapshots or parent
// older clusters wrote is answered with EIO. They were read off bytes captured
// from Ceph 16.2; requests are in cluster/testdata/ops. Methods of groups,
// namespaces, migration, journals and of images of format 1 are not here, nor
// snapshots of groups and mirrors: EOPNOTSUPP. Mirroring is answered as by a pool
// without it: ENOENT.
package rbd

//! Where labels go, so that they do not cover each other.

use vigia_core::geometry::Size;

use super::paint::Rect;

/// The labels placed so far.
pub(super) struct Tags {
    width: i32,
    height: i32,
    placed: Vec<Rect>,
}

impl Tags {
    pub(super) fn new(picture: Size) -> Self {
        Self { width: picture.width as i32, height: picture.height as i32, placed: Vec::new() }
    }

    /// The place for a label of `size` (width, height) at a box with lines of `line` pixels: the first free one of
    /// above, inside or below, beside. Absent where all of them are taken or the picture is too small.
    pub(super) fn place(&mut self, outer: &Rect, line: i32, size: (i32, i32)) -> Option<Rect> {
        let (w, h) = size;
        if w > self.width || h > self.height {
            return None;
        }
        let (above, below) = (outer.top - h, outer.bottom);
        let (top, bottom) = (outer.top + line, outer.bottom - line - h);
        let (left, right) = (outer.left, outer.right - w);
        // Inside a low box a label would hide what is in it.
        let (second, fifth) = if outer.height() >= 4 * h { (top, below) } else { (below, top) };
        let indent = |y: i32| if y == top { left + line } else { left };
        let places = [
            (left, above),
            (right, above),
            (indent(second), second),
            (right, below),
            (indent(fifth), fifth),
            (left + line, bottom),
            (outer.right, outer.top),
            (outer.left - w, outer.top),
        ];
        let inside = |&(_, y): &(i32, i32)| y >= 0 && y + h <= self.height;
        let rects = places.iter().filter(|place| inside(place)).map(|&(x, y)| {
            let x = x.clamp(0, self.width - w);
            Rect { left: x, top: y, right: x + w, bottom: y + h }
        });
        let covered = |rect: &Rect| self.placed.iter().map(|other| rect.shared(other)).sum::<i64>();
        // A corner may touch: a tenth of the label.
        let mut free = rects.filter(|rect| covered(rect) * 10 <= i64::from(w) * i64::from(h));
        let rect = free.next()?;
        self.placed.push(rect);
        Some(rect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: Rect = Rect { left: 20, top: 30, right: 80, bottom: 90 };

    #[test]
    fn labels_stand_above_then_elsewhere() {
        let mut tags = Tags::new(Size::new(100, 100));
        let tops: Vec<_> = (0..9).map(|_| tags.place(&BOX, 2, (58, 10)).map(|r| r.top)).collect();
        // Above, inside at the top, below, inside at the bottom; beside the box the picture's edge pushes it inside.
        assert_eq!(tops[..4], [Some(20), Some(32), Some(90), Some(78)]);
        assert_eq!(tops.last(), Some(&None));
    }

    #[test]
    fn without_room_above_a_label_is_inside() {
        let mut tags = Tags::new(Size::new(100, 100));
        let place = tags.place(&Rect { top: 3, ..BOX }, 2, (30, 10));
        assert_eq!(place, Some(Rect { left: 22, top: 5, right: 52, bottom: 15 }));
    }

    #[test]
    fn a_low_box_keeps_its_inside() {
        let mut tags = Tags::new(Size::new(100, 100));
        let low = Rect { top: 3, bottom: 30, ..BOX };
        assert_eq!(tags.place(&low, 2, (30, 10)), Some(Rect { left: 20, top: 30, right: 50, bottom: 40 }));
    }

    #[test]
    fn a_picture_smaller_than_a_label_has_none() {
        assert_eq!(Tags::new(Size::new(20, 5)).place(&BOX, 2, (10, 10)), None);
    }
}

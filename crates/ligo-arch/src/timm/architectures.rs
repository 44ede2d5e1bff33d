//! The architectures of `timm` that are computed here, by the names under which it registers them.

/// Which of `timm`'s classes an architecture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `VisionTransformer`, with nothing but what the first ViT had.
    Vit,
    /// `VisionTransformerDistilled`: a second token with a head of its own.
    Distilled,
    /// `Cait`.
    Cait,
}

/// What the name of an architecture stands for where no argument says otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Architecture {
    pub kind: Kind,
    /// `embed_dim`.
    pub width: usize,
    /// `depth`.
    pub layers: usize,
    /// `num_heads`.
    pub heads: usize,
    /// `mlp_ratio`.
    pub ratio: f64,
    /// `patch_size`.
    pub patch: usize,
    /// `init_values`; of a CaiT alone.
    pub scale: f64,
}

/// Models that differ in the sizes of patches and images alone.
struct Series {
    name: &'static str,
    kind: Kind,
    sizes: (usize, usize, usize),
    ratio: f64,
    /// Sizes of patches, and of the images that the name says behind them.
    cuts: &'static [(usize, usize)],
}

const fn vit(name: &'static str, sizes: (usize, usize, usize), cuts: &'static [(usize, usize)]) -> Series {
    Series {
        name,
        kind: Kind::Vit,
        sizes,
        ratio: 4.0,
        cuts,
    }
}

const fn distilled(name: &'static str, sizes: (usize, usize, usize), cuts: &'static [(usize, usize)]) -> Series {
    Series {
        kind: Kind::Distilled,
        ..vit(name, sizes, cuts)
    }
}

const AT_224: &[(usize, usize)] = &[(16, 224)];
const AT_BOTH: &[(usize, usize)] = &[(16, 224), (16, 384)];
const FINE_TO_COARSE: &[(usize, usize)] = &[(8, 224), (16, 224), (16, 384), (32, 224), (32, 384)];
const HUGE: &[(usize, usize)] = &[(14, 224)];

/// `NAME_patchP_SIZE`, as of timm 1.0.22: width, layers, heads.
const SERIES: [Series; 13] = [
    vit("vit_tiny", (192, 12, 3), AT_BOTH),
    vit("vit_small", (384, 12, 6), FINE_TO_COARSE),
    vit("vit_base", (768, 12, 12), FINE_TO_COARSE),
    vit(
        "vit_large",
        (1024, 24, 16),
        &[(14, 224), (16, 224), (16, 384), (32, 224), (32, 384)],
    ),
    vit("vit_huge", (1280, 32, 16), HUGE),
    Series {
        ratio: 48.0 / 11.0,
        ..vit("vit_giant", (1408, 40, 16), HUGE)
    },
    Series {
        ratio: 64.0 / 13.0,
        ..vit("vit_gigantic", (1664, 48, 16), HUGE)
    },
    vit("deit_tiny", (192, 12, 3), AT_224),
    vit("deit_small", (384, 12, 6), AT_224),
    vit("deit_base", (768, 12, 12), AT_BOTH),
    distilled("deit_tiny_distilled", (192, 12, 3), AT_224),
    distilled("deit_small_distilled", (384, 12, 6), AT_224),
    distilled("deit_base_distilled", (768, 12, 12), AT_BOTH),
];

/// `cait_NAME_SIZE`: name, images, width, layers, heads, start of LayerScale.
const CAIT: [(&str, &[usize], usize, usize, usize, f64); 7] = [
    ("xxs24", &[224, 384], 192, 24, 4, 1e-5),
    ("xxs36", &[224, 384], 192, 36, 4, 1e-5),
    ("xs24", &[384], 288, 24, 6, 1e-5),
    ("s24", &[224, 384], 384, 24, 8, 1e-5),
    ("s36", &[384], 384, 36, 8, 1e-6),
    ("m36", &[384], 768, 36, 16, 1e-6),
    ("m48", &[448], 768, 48, 16, 1e-6),
];

/// How the names are made, for people.
pub(super) const NAMES: &str = "vit_{tiny,small,base,large,huge,giant,gigantic}_patchP_SIZE, deit_{tiny,small,base}_patch16_SIZE, \
     deit_{tiny,small,base}_distilled_patch16_SIZE and cait_{xxs,xs,s,m}DEPTH_SIZE";

/// All of them by name.
pub(super) fn all() -> impl Iterator<Item = (String, Architecture)> {
    let cut = SERIES.iter().flat_map(|series| {
        let (width, layers, heads) = series.sizes;
        series.cuts.iter().map(move |(patch, image)| {
            let architecture = Architecture {
                kind: series.kind,
                width,
                layers,
                heads,
                ratio: series.ratio,
                patch: *patch,
                scale: 0.0,
            };
            (format!("{}_patch{patch}_{image}", series.name), architecture)
        })
    });
    let cait = CAIT.iter().flat_map(|(name, images, width, layers, heads, scale)| {
        images.iter().map(move |image| {
            let architecture = Architecture {
                kind: Kind::Cait,
                width: *width,
                layers: *layers,
                heads: *heads,
                ratio: 4.0,
                patch: 16,
                scale: *scale,
            };
            (format!("cait_{name}_{image}"), architecture)
        })
    });
    cut.chain(cait)
}

/// The one of this name.
pub(super) fn find(name: &str) -> Option<Architecture> {
    all()
        .find(|(known, _)| known == name)
        .map(|(_, architecture)| architecture)
}

/// The known name that agrees with this one for longest.
pub(super) fn nearest(name: &str) -> String {
    let common = |known: &str| known.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
    let names = all().map(|(known, _)| known);
    // Of several that agree as long, the first.
    names
        .reduce(|best, known| if common(&known) > common(&best) { known } else { best })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn architectures_are_found_by_their_whole_name() {
        let tiny = find("vit_tiny_patch16_224").unwrap();
        assert_eq!((tiny.width, tiny.layers, tiny.heads), (192, 12, 3));
        assert_eq!(find("deit_base_distilled_patch16_384").unwrap().kind, Kind::Distilled);
        assert_eq!(find("cait_s36_384").unwrap().scale, 1e-6);
        // Which are something else in timm, or nothing.
        for other in [
            "vit_base_patch16_clip_224",
            "vit_tiny_patch8_224",
            "deit3_base_patch16_224",
            "flexivit_base",
            "",
        ] {
            assert!(find(other).is_none(), "{other}");
        }
        assert_eq!(nearest("vit_base_patch16_clip_224"), "vit_base_patch16_224");
        // 20 ViTs, 8 DeiTs and 10 CaiTs.
        assert_eq!(all().count(), 38);
    }
}

use super::{MethodSection, PRESETS, Recipe, RunKey};

impl Recipe {
    /// A method for people, the same for all its seeds: its label, the usual name of what it is called after, or else its id.
    pub fn label_of(&self, method: &MethodSection) -> String {
        if let Some(label) = &method.label {
            return label.clone();
        }
        if self.is_best_variant(method) {
            return format!("{}, best", self.usual_name(&self.sweep.method));
        }
        let key = method.key();
        if let Some(variant) = &key.variant {
            let entry = RunKey::of_entry(&key.entry);
            let own = self.methods.iter().find(|m| m.key().group() == entry);
            let entry = own.map_or_else(|| self.usual_name(&key.entry), |own| self.label_of(own));
            return format!("{entry} {}", variant.to_string().replace(',', ", "));
        }
        let id = key.group().to_string();
        if id == method.name && method.operator.is_none() {
            return self.usual_name(&id);
        }
        // An entry with another operator under a known name is not that method.
        let operator = self.operator_of(method).filter(|spec| spec.name() == id);
        operator.map_or(id, |spec| spec.label().to_owned())
    }

    /// What people call the method of this name.
    fn usual_name(&self, name: &str) -> String {
        if let Some(preset) = PRESETS.iter().find(|preset| preset.name == name) {
            return preset.label.to_owned();
        }
        let method = MethodSection {
            name: name.into(),
            ..MethodSection::default()
        };
        let operator = self.operator_of(&method);
        operator.map_or_else(|| name.to_owned(), |spec| spec.label().to_owned())
    }
}

//! REST APIs (apigateway) and Swagger 2 or OpenAPI 3: the plan of an import, and the document of an export.

mod api;
mod authorizers;
mod documentation;
mod export;
mod methods;
mod models;
mod parameters;
mod plan;

pub use export::{Dialect, ExportError, Extensions, RestExport, export_rest};
pub use models::PlannedModel;
pub use plan::{PlannedIntegration, PlannedMethod, PlannedResponse, RestPlan, plan_rest};
